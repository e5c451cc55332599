"""Spellings of paths: many for those of OpenAI's API, one for those of admins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from yarl import URL

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.http.paths import canonical, reads_openai_errors
from tests.conftest import Client, character

CHAT = {"model": "Ada", "messages": [{"role": "user", "content": "Hello"}]}
SPELLINGS = ["/v1{}", "/v1{}/", "//v1{}", "/v1/{}", "{}", "{}/", "/{}", "//v1/{}//"]

each_spelling = pytest.mark.parametrize("spelling", SPELLINGS)


def spelled(client: Client, spelling: str, path: str) -> URL:
    """Return the URL as it is spelled: clients normalise a path that is given as text."""
    return URL(f"http://{client.host}:{client.port}{spelling.format(path)}", encoded=True)


@each_spelling
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/models", None),
        ("GET", "/models/Ada", None),
        ("POST", "/chat/completions", CHAT),
        ("POST", "/responses", {"model": "Ada", "input": "Hello"}),
    ],
)
async def test_every_spelling_is_served(client: Client, spelling: str, method: str, path: str, body: object) -> None:
    """A base URL without `/v1`, or with a slash at its end, reaches the same endpoints."""
    url = spelled(client, spelling, path)
    async with client.session.request(method, url, json=body, allow_redirects=False) as answer:
        assert (answer.status, str(answer.url)) == (200, str(url))


@each_spelling
async def test_every_spelling_of_a_stored_response_is_served(client: Client, spelling: str) -> None:
    """The paths below a path of OpenAI's are as forgiving."""
    stored = await (await client.post("/v1/responses", json={"model": "Ada", "input": "Hello"})).json()
    path = f"/responses/{stored['id']}"
    for method, found in (("GET", f"{path}/input_items"), ("GET", path), ("DELETE", path)):
        async with client.session.request(method, spelled(client, spelling, found)) as answer:
            assert answer.status == 200


@each_spelling
async def test_every_spelling_opens_a_session(client: Client, spelling: str) -> None:
    """The WebSocket is upgraded under each spelling, with the query of the client."""
    url = spelled(client, spelling, "/realtime").with_query(model="Ada")
    async with client.session.ws_connect(url) as ws:
        assert (await ws.receive_json())["session"]["model"] == "Ada"


@each_spelling
@pytest.mark.parametrize(
    "path", ["/models/Eve", "/responses/resp_1", "/realtime", "/audio/translations", "/realtime/none"]
)
async def test_every_spelling_has_the_errors_of_openai(client: Client, spelling: str, path: str) -> None:
    """Clients of OpenAI read errors in its shape only."""
    async with client.session.get(spelled(client, spelling, path)) as answer:
        assert (answer.status in (404, 426), answer.content_type) == (True, "application/json")
        assert (await answer.json())["error"]["message"]


@each_spelling
async def test_a_wrong_method_has_the_right_one(client: Client, spelling: str) -> None:
    """The methods of a path are those of its usual spelling."""
    async with client.session.get(spelled(client, spelling, "/chat/completions")) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert (await answer.json())["error"]["code"] == "method_not_allowed"


@each_spelling
async def test_every_spelling_needs_the_key(
    aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings, spelling: str
) -> None:
    """A spelling opens nothing, for a program or a page."""
    client = await aiohttp_client(create_app(Settings(directory=settings.directory, api_key="sesame")))
    for path in ("/models", "/realtime", "/responses/resp_1"):
        async with client.session.get(spelled(client, spelling, path)) as answer:
            assert answer.status == 401
    page = {"Origin": "http://evil.com", "Authorization": "Bearer sesame"}
    async with client.session.get(spelled(client, spelling, "/models"), headers=page) as answer:
        assert answer.status == 403


@each_spelling
async def test_every_spelling_has_the_headers_for_pages(client: Client, spelling: str) -> None:
    """A page that may call reads the response, and may ask before it sends JSON."""
    page = {"Origin": "http://localhost:3000"}
    async with client.session.get(spelled(client, spelling, "/models"), headers=page) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]
    page["Access-Control-Request-Method"] = "POST"
    async with client.session.options(spelled(client, spelling, "/chat/completions"), headers=page) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, page["Origin"])


async def test_a_name_keeps_its_slashes(client: Client, write: Callable[[str, str], Path]) -> None:
    """Slashes of a name are encoded, and are not among those that are forgiven."""
    write("odd.py", character("/a//b/"))
    assert (await client.post("/v1/characters/reload", json={})).status == 200
    async with client.session.get(spelled(client, "/v1{}", "/models/%2Fa%2F%2Fb%2F")) as answer:
        assert (await answer.json())["id"] == "/a//b/"


@pytest.mark.parametrize(
    ("path", "is_openai"),
    [
        *(("/v1/embeddings", True), ("/v1/nothing/at/all", True), ("/v1/modelsx", True), ("/v1/charactersx", True)),
        *(("/v1/characters", False), ("/v1/characters/Ada", False), ("/v1//characters/reload/", False)),
        *(("/v1/health/", False), ("/v1/voices", False), ("/v1", False), ("/nowhere", False), ("/modelsx", False)),
    ],
)
def test_unknown_paths_below_v1_are_read_by_clients_of_openai(path: str, is_openai: bool) -> None:
    """Unknown paths have OpenAI's shape below `/v1`, and charhost's own paths have problem documents."""
    assert reads_openai_errors(path) is is_openai


@pytest.mark.parametrize("path", ["/v1/models", "/v1/characters/reload", "//v1/characters/reload", "/metrics/", "/"])
def test_other_paths_have_one_spelling(path: str) -> None:
    """A path of OpenAI's in its usual spelling, and every other path, is only itself."""
    assert canonical(path) == path


ADMIN = ["/v1/characters/status", "/v1/characters/reloads", "/v1/characters/reloads/x"]
OTHER_SPELLINGS = ["/{}", "{}/", "/v1{}", "{}#", "{}%20", "{};x", "http://localhost{}"]


@pytest.mark.parametrize("path", ADMIN)
async def test_a_path_of_admins_has_one_spelling(client: Client, path: str) -> None:
    """A proxy walls these paths off by their spelling, so no other one reaches them."""
    assert await sent(client, path) != 404 or path.endswith("/x")
    short = path.removeprefix("/v1")
    encoded = [f"{path[:at]}%{ord(path[at]):02x}{path[at + 1 :]}" for at in range(1, len(path))]
    doubled = [f"{path[:at]}/{path[at:]}" for at, letter in enumerate(path) if letter == "/"]
    other = [one.format(path) for one in OTHER_SPELLINGS] + [
        one.format(short) for one in ("{}", "/V1{}", "/v1/.{}", "/x/../v1{}")
    ]
    found = {one: await sent(client, one) for one in [*encoded, *doubled, *other]}
    assert found == dict.fromkeys(found, 404)


async def test_a_path_that_reloads_has_one_spelling(client: Client) -> None:
    """No other spelling reloads."""
    path = "/v1/characters/reload"
    other = ["/v1/characters/%72eload", f"/{path}", f"{path}/", "/v1//characters/reload", "/characters/reload"]
    for one in [*other, path.upper(), f"{path}#", f"http://localhost{path}"]:
        assert await sent(client, one, "POST") in (404, 405)
    assert (await (await client.get("/v1/health")).json())["generation"] == 1


async def sent(client: Client, target: str, method: str = "GET") -> int:
    """Return the status of a request that is sent exactly as it is spelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
    status = (await reader.readline()).split()[1]
    writer.close()
    await writer.wait_closed()
    return int(status)


@each_spelling
@pytest.mark.parametrize(
    ("method", "path", "advice"),
    [
        ("POST", "/embeddings", "ask the server of a model"),
        ("POST", "/completions", "/v1/chat/completions"),
        ("POST", "/moderations", "ask the server of a model"),
        ("POST", "/images/generations", "ask the server of a model"),
        ("POST", "/audio/translations", "/v1/audio/transcriptions"),
        ("POST", "/audio/speech", "in text"),
        ("GET", "/threads/thread_1", "previous_response_id"),
        ("GET", "/files", "in the messages"),
    ],
)
async def test_a_path_that_is_not_served_has_advice(
    client: Client, spelling: str, method: str, path: str, advice: str
) -> None:
    """For a path of OpenAI's that is not served the error has what to use instead."""
    async with client.session.request(method, spelled(client, spelling, path)) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, error["type"], advice in error["message"]) == (404, "invalid_request_error", True)


async def test_other_unknown_paths_have_no_advice(client: Client) -> None:
    """A page of the manual that is called like a path of OpenAI's is none."""
    answer = await client.get("/docs/x/audio")
    assert (await answer.json())["detail"] == "There is nothing at /docs/x/audio."
