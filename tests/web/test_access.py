"""The table of access: the response to every caller on every route."""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, WSMsgType, WSServerHandshakeError, web
from yarl import URL

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client

# Every route: the callers it is for, and its status and code for an authorised request without a body.
ROUTES: dict[str, tuple[str, int, str | None]] = {
    "GET /": ("all", 200, None),
    "GET /v1/health": ("all", 200, None),
    "GET /v1/ready": ("all", 200, None),
    "GET /v1/voices": ("all", 200, None),
    "GET /metrics": ("all", 200, None),
    "GET /openapi.json": ("all", 200, None),
    "GET /docs": ("all", 200, None),
    "GET /docs/api": ("all", 200, None),
    "GET /docs/{page}": ("all", 200, None),
    "GET /studio/{path}": ("all", 200, None),
    "GET /v1/characters": ("chat", 200, None),
    "GET /v1/characters/{name}": ("chat", 200, None),
    "GET /v1/models": ("chat", 200, None),
    "GET /v1/models/{id}": ("chat", 200, None),
    "GET /v1/realtime": ("chat", 426, "upgrade_required"),
    "POST /v1/realtime/client_secrets": ("chat", 400, "invalid_type"),
    "POST /v1/chat/completions": ("chat", 400, "invalid_type"),
    "POST /v1/responses": ("chat", 400, "invalid_type"),
    "GET /v1/responses/{id}": ("chat", 404, "response_not_found"),
    "DELETE /v1/responses/{id}": ("chat", 404, "response_not_found"),
    "POST /v1/responses/{id}/cancel": ("chat", 404, "response_not_found"),
    "GET /v1/responses/{id}/input_items": ("chat", 404, "response_not_found"),
    "GET /v1/audio/voices": ("all", 200, None),
    "GET /v1/audio/models": ("all", 200, None),
    "POST /v1/audio/speech": ("chat", 404, None),
    "POST /v1/audio/transcriptions": ("chat", 404, None),
    "GET /v1/fleet": ("admin", 404, "no_fleet"),
    "PUT /v1/fleet/sets": ("admin", 404, "no_fleet"),
    "GET /v1/fleet/rollouts/{epoch}": ("admin", 404, "no_fleet"),
    "POST /v1/fleet/abort": ("admin", 404, "no_fleet"),
    "POST /v1/fleet/hold": ("admin", 404, "no_fleet"),
    "POST /v1/fleet/restore": ("admin", 404, "no_fleet"),
    "GET /v1/sets": ("chat", 200, None),
    "PUT /v1/sets/{name}": ("admin", 400, "invalid_request"),
    "DELETE /v1/sets/{name}": ("admin", 404, "set_not_found"),
    "GET /v1/characters/status": ("admin", 200, None),
    "GET /v1/characters/source": ("admin", 404, "file_not_found"),
    "GET /v1/characters/{name}/prompt": ("admin", 200, None),
    "POST /v1/characters/{name}/tools/{tool}": ("admin", 404, "tool_not_found"),
    "GET /v1/events": ("admin", 200, None),
    "GET /v1/figures": ("admin", 200, None),
    "GET /v1/model": ("admin", 409, "no_model"),
    "PUT /v1/model": ("admin", 400, "invalid_request"),
    "GET /v1/characters/reloads": ("admin", 200, None),
    "GET /v1/characters/reloads/{reload_id}": ("admin", 404, "reload_not_found"),
    "POST /v1/characters/reload": ("admin", 400, "invalid_request"),
    "POST /v1/characters/rollback": ("admin", 400, "invalid_request"),
    "POST /v1/characters/watch/resume": ("admin", 409, "no_watcher"),
}
FILLED = {
    "{name}": "Ada",
    "{id}": "Ada",
    "{reload_id}": "x",
    "{page}": "style.css",
    "{path}": "studio.css",
    "{tool}": "x",
    "{epoch}": "1",
}
OF_OPENAI = (
    "/v1/models",
    "/v1/chat",
    "/v1/responses",
    "/v1/realtime",
    "/v1/audio",
)  # their errors have the shape that OpenAI's clients read

# Routes for all need no key. A foreign page is refused chat, a foreign name (column "name") chat and routes for all.
# The last column is for callers of admin routes that are not local; nothing else depends on the address.
TABLE = """
    keys set   key sent   chat   page   name   admin   admin, from outside
    none       none       yes    403    421    yes     403
    none       chat       yes    403    421    yes     403
    none       admin      yes    403    421    yes     403
    none       wrong      yes    403    421    yes     403
    chat       none       401    401    yes    yes     403
    chat       chat       yes    403    yes    yes     403
    chat       admin      401    401    yes    yes     403
    chat       wrong      401    401    yes    yes     403
    admin      none       yes    403    421    401     401
    admin      chat       yes    403    421    401     401
    admin      admin      yes    403    yes    yes     yes
    admin      wrong      yes    403    421    401     401
    both       none       401    401    yes    401     401
    both       chat       yes    403    yes    401     401
    both       admin      yes    403    yes    yes     yes
    both       wrong      401    401    yes    401     401
"""
# Keys that are bound to sets: the status of each that is sent, for routes about a set that is named in them.
BOUND_KEYS = "free, default:pupils, gaming:players, default:both, gaming:both"
BOUND_TABLE = """
    key sent   default   gaming   school   admin
    none       401       401      401      401
    wrong      401       401      401      401
    free       200       200      404      401
    pupils     200       404      404      401
    players    404       200      404      401
    both       200       200      404      401
    admin      200       200      404      200
"""
BOUND_ROWS = [line.split() for line in BOUND_TABLE.strip().splitlines()[1:]]
OF_SETS = (
    "/v1/characters?set={set}",
    "/v1/characters/Ada?set={set}",
    "/v1/characters/{set}/Ada",
    "/v1/models?set={set}",
    "/v1/models/{set}/Ada",
    "/v1/models/{set}%2FAda",
)
CODES = {
    ("chat", 401): "invalid_api_key",
    ("chat", 403): "origin_not_allowed",
    ("chat", 421): "host_not_allowed",
    ("all", 421): "host_not_allowed",
    ("admin", 401): "invalid_key",
    ("admin", 403): "forbidden",
}

KEYS = {"chat": "sesame", "admin": "s3cret", "wrong": "guessed"}
CONFIGURED = {"none": [], "chat": ["chat"], "admin": ["admin"], "both": ["chat", "admin"]}
OPTIONS = {"chat": "api_key", "admin": "admin_key"}

# Each way differs from the local one in a single thing.
FAR = "203.0.113.9"
WAYS: dict[str, dict[str, str]] = {
    "local": {},
    "from another machine": {},
    "under a foreign name": {"Host": "evil.com"},
    "with a name of a user": {"Host": "me@localhost"},
    "from a foreign page": {"Origin": "http://evil.com"},
    "for a foreign page": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "for a page of another port": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    "through a proxy": {"X-Forwarded-For": FAR},
    "through nginx": {"X-Real-IP": FAR},
    "through a tunnel": {"CF-Connecting-IP": FAR},
    "through a cache": {"Via": "1.1 cache"},
}
FOREIGN_NAMES = ("under a foreign name", "with a name of a user")
FOREIGN_PAGES = ("from a foreign page", "for a foreign page", "for a page of another port")


class FarSocket(socket.socket):
    """A listening socket whose callers sit at another machine.

    A server knows its peer only from `accept`. A caller that really has another address needs a
    machine with a network (below is one), or the rights of root; so this socket is the one thing here that is not real.
    """

    def accept(self) -> tuple[socket.socket, Any]:
        connection, (_, port) = super().accept()
        return connection, (FAR, port)


@dataclass(frozen=True)
class Row:
    """A line of the table: the keys of a server, the key that is sent, and the results."""

    keys_set: str
    key_sent: str
    chat: str
    page: str
    name: str
    admin: str
    admin_outside: str

    def __str__(self) -> str:
        return f"{self.keys_set} set, {self.key_sent} sent"

    @property
    def key(self) -> str | None:
        return KEYS.get(self.key_sent)

    def answer(self, route: str, way: str) -> tuple[int, str | None]:
        """Return the status and code of the table."""
        whom, status, code = ROUTES[route]
        verdict = self.verdict(whom, way)
        return (status, code) if verdict == "yes" else (int(verdict), CODES[whom, int(verdict)])

    def verdict(self, whom: str, way: str) -> str:
        """Return "yes" or the status of the refusal for a route for *whom*."""
        if whom == "admin":
            return self.admin if way == "local" else self.admin_outside
        if way in FOREIGN_NAMES and self.name != "yes":
            return self.name
        if whom == "all":
            return "yes"
        return self.page if way in FOREIGN_PAGES else self.chat


ROWS = [Row(*line.split()) for line in TABLE.strip().splitlines()[1:]]
# Each set of keys, and each key that is sent, once.
DIAGONAL = {*ROWS[:: len(KEYS) + 2]}


@dataclass(frozen=True)
class Server:
    """A server with the keys of a row, and its client."""

    session: ClientSession
    urls: dict[str, URL]
    directory: Path

    async def ask(self, route: str, way: str, key: str | None) -> tuple[int, str | None]:
        """Return status and code of the response; a refusal must not reveal paths, code or keys."""
        method, path = route.split(" ")
        for name, value in FILLED.items():
            path = path.replace(name, value)
        headers = {"Content-Type": "application/json", **WAYS[way], **bearer(key)}
        async with self.session.request(method, self.urls[way].with_path(path), headers=headers) as answer:
            if answer.status < 400:
                return answer.status, None  # not read: one of the responses has no end
            text = await answer.text()
        secrets = (str(self.directory), "/tmp", ".py", "Traceback", *KEYS.values())
        assert [secret for secret in secrets if secret in text] == []
        assert answer.headers.get("WWW-Authenticate") == ("Bearer" if answer.status == 401 else None)
        of_openai = path.startswith(OF_OPENAI)
        assert answer.content_type == ("application/json" if of_openai else "application/problem+json")
        problem = json.loads(text)
        return answer.status, (problem["error"] if of_openai else problem)["code"]

    async def talk(self, way: str, headers: dict[str, str], offers: list[str]) -> tuple[str | int | None, ...]:
        """Return a WebSocket's first event and close code, or the status of the refused upgrade."""
        url = self.urls[way].with_path("/v1/realtime").with_query(dialect="ga")
        try:
            async with self.session.ws_connect(url, headers=WAYS[way] | headers, protocols=offers) as ws:
                event = await ws.receive_json()
                if event["type"] != "error":
                    return (event["type"],)
                assert (await ws.receive()).type is WSMsgType.CLOSE
                return event["error"]["code"], ws.close_code
        except WSServerHandshakeError as refusal:
            return (refusal.status,)


@pytest.fixture
async def server(row: Row, aiohttp_client: Callable[..., Awaitable[Client]], directory: Path) -> Server:
    """A server that listens for callers from here and from elsewhere."""
    keys = {OPTIONS[kind]: KEYS[kind] for kind in CONFIGURED[row.keys_set]}
    client = await aiohttp_client(create_app(Settings(directory=directory, **keys)))
    far = FarSocket()
    far.bind(("127.0.0.1", 0))
    assert client.server.runner is not None
    await web.SockSite(client.server.runner, far).start()
    here, there = client.make_url("/"), URL(f"http://127.0.0.1:{far.getsockname()[1]}")
    urls = {way: there if way == "from another machine" else here for way in WAYS}
    return Server(client.session, urls, directory)


def bearer(key: str | None) -> dict[str, str]:
    """The header that a program sends its key in."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def test_every_route_is_in_the_table(settings: Settings) -> None:
    """ROUTES has every route, so that a new one gets its callers; `HEAD` has the handler of `GET`."""
    handlers: dict[str, set[object]] = {}
    for route in create_app(settings).router.routes():
        assert route.resource is not None
        method = "GET" if route.method == "HEAD" else route.method
        handlers.setdefault(f"{method} {route.resource.canonical}", set()).add(route.handler)
    assert sorted(set(handlers) - set(ROUTES)) == [], "add this to ROUTES in tests/test_access.py: who may ask for it?"
    assert sorted(set(ROUTES) - set(handlers)) == [], "there is no such route any more: remove it from ROUTES"
    assert [name for name, different in handlers.items() if len(different) > 1] == []


def test_the_table_has_every_caller() -> None:
    """Each key, and none, is sent to a server with each set of keys, and none."""
    assert [(row.keys_set, row.key_sent) for row in ROWS] == [(a, b) for a in CONFIGURED for b in ("none", *KEYS)]


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=() if row in DIAGONAL else pytest.mark.slow, id=str(row)) for row in ROWS]
)
async def test_every_caller_has_the_response_of_the_table(row: Row, server: Server) -> None:
    """Each route responds to each caller with the status and code of the table."""
    cells = [(way, route) for way in WAYS for route in ROUTES]
    found = {(way, route): await server.ask(route, way, row.key) for way, route in cells}
    assert found == {(way, route): row.answer(route, way) for way, route in cells}


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_every_caller_has_the_upgrade_of_the_table(row: Row, server: Server) -> None:
    """An upgrade needs the authority of chat; a page learns only after it that its key is wrong (3000)."""
    verdicts = {way: row.verdict("chat", way) for way in WAYS}
    refused = {way: (int(verdict),) for way, verdict in verdicts.items() if verdict != "yes"}
    may_talk: tuple[str | int, ...] = ("session.created",)
    asked = {way: await server.talk(way, bearer(row.key), ["realtime"]) for way in WAYS}
    assert asked == dict.fromkeys(WAYS, may_talk) | refused
    if row.key is not None:
        offers = ["realtime", f"openai-insecure-api-key.{row.key}"]
        after_it = {way: ("invalid_api_key", 3000) for way, verdict in verdicts.items() if verdict == "401"}
        offered = {way: await server.talk(way, {}, offers) for way in WAYS}
        assert offered == dict.fromkeys(WAYS, may_talk) | refused | after_it


@pytest.mark.parametrize("row", BOUND_ROWS, ids=lambda row: row[0])
async def test_bound_key_reaches_its_sets(
    row: list[str], aiohttp_client: Callable[..., Awaitable[Client]], directory: Path
) -> None:
    """Each key reaches the sets that it is bound to, or all; none reaches a set that is not there."""
    sent, *statuses, admin = row
    settings = Settings(directory=directory, set=f"gaming={directory}", api_key=BOUND_KEYS, admin_key=KEYS["admin"])
    client = await aiohttp_client(create_app(settings))
    headers = bearer(None if sent == "none" else KEYS.get(sent, sent))

    async def status(path: str) -> int:
        async with client.session.get(
            URL(f"http://{client.host}:{client.port}{path}", encoded=True), headers=headers
        ) as answer:
            return answer.status

    for name, expected in zip(("default", "gaming", "school"), statuses, strict=True):
        found = {path: await status(path.format(set=name)) for path in OF_SETS}
        assert found == dict.fromkeys(OF_SETS, int(expected)), name
    assert await status("/v1/characters/status?set=gaming") == int(admin)


@pytest.mark.parametrize("row", [ROWS[0]], ids=str)
async def test_a_peer_with_a_real_address_is_another_machine(server: Server) -> None:
    """Without a key a caller with the network address of this machine is no admin."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((FAR, 9))  # sends nothing: it asks the system which address it would send from
        except OSError:
            pytest.skip("this machine is in no network")
        address = asking.getsockname()[0]
    async with ClientSession(connector=TCPConnector(local_addr=(address, 0))) as session:
        caller = Server(session, server.urls, server.directory)
        assert await caller.ask("GET /v1/characters/status", "local", None) == (403, "forbidden")
        assert await caller.ask("GET /v1/characters", "local", None) == (200, None)
