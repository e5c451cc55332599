"""Keys that are bound to sets: what is hidden from a key is for it as if it were not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import hdrs

from charhost.errors import SettingsError
from charhost.settings import Settings
from tests.conftest import Client
from tests.web.two_sets import client, games, serve

__all__ = ["client", "games", "serve"]

KEYS = "gaming:players-sesame, default:pupils-sesame, gaming:both-sesame, default:both-sesame, free-sesame, x:y-sesame"
SEEN = {
    "players-sesame": ["gaming"],
    "pupils-sesame": ["default"],
    "both-sesame": ["default", "gaming"],
    "free-sesame": ["default", "gaming"],
    "x:y-sesame": ["default", "gaming"],
    "root-sesame": ["default", "gaming"],
}
HELLO = [{"role": "user", "content": "Hi"}]

# A request of a key that is bound to `gaming`: NAME is hidden from it, or is nowhere.
HIDDEN: list[tuple[str, str, Any]] = [
    ("GET", "/v1/models/NAME", None),
    ("GET", "/v1/models/SET/NAME", None),
    ("GET", "/v1/models?set=SET", None),
    ("GET", "/v1/characters/NAME", None),
    ("GET", "/v1/characters?name=NAME", None),
    ("GET", "/v1/characters?set=SET", None),
    ("GET", "/v1/voices?set=SET", None),
    ("POST", "/v1/chat/completions", {"model": "NAME", "messages": HELLO}),
    ("POST", "/v1/chat/completions", {"model": "SET/NAME", "messages": HELLO}),
    ("POST", "/v1/chat/completions?set=SET", {"model": "NAME", "messages": HELLO}),
    ("POST", "/v1/responses", {"model": "NAME", "input": "Hi"}),
    ("POST", "/v1/realtime/client_secrets", {"session": {"type": "realtime", "model": "NAME"}}),
    ("PUT", "/v1/sets/SET", {"directory": "/srv"}),
    ("DELETE", "/v1/sets/SET", None),
    ("POST", "/v1/characters/reload", {"set": "SET"}),
    ("GET", "/v1/characters/status?set=SET", None),
]


@pytest.fixture
async def bound(serve: Callable[..., Awaitable[Client]]) -> Client:
    """A client of a server with bound keys."""
    return await serve(api_key=KEYS, admin_key="root-sesame")


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def filled(value: Any, name: str, set_name: str) -> Any:
    """Fill the names into a path or a body."""
    if isinstance(value, dict):
        return {key: filled(one, name, set_name) for key, one in value.items()}
    return value.replace("NAME", name).replace("SET", set_name) if isinstance(value, str) else value


async def answer(client: Client, method: str, path: str, body: Any, *names: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body, with the names that were asked for taken out."""
    filled_body = filled(body, *names)
    options = {} if body is None else {"json": filled_body}
    async with client.request(method, filled(path, *names), headers=bearer("players-sesame"), **options) as response:
        headers = {
            name: text for name, text in response.headers.items() if name not in (hdrs.DATE, hdrs.CONTENT_LENGTH)
        }
        text = await response.text()
    for name in names:
        text = text.replace(name, "…")
    return response.status, headers, text


@pytest.mark.parametrize(("method", "path", "body"), HIDDEN)
async def test_hidden_is_as_if_it_were_not_there(bound: Client, method: str, path: str, body: Any) -> None:
    """Status, headers and body are the same for what is hidden as for what does not exist."""
    hidden = await answer(bound, method, path, body, "Ada", "default")
    absent = await answer(bound, method, path, body, "Eva", "nowhere")
    assert hidden == absent
    assert hidden[0] in (401, 404)


@pytest.mark.parametrize(("key", "sets"), SEEN.items())
async def test_key_sees_its_own_sets(bound: Client, key: str, sets: list[str]) -> None:
    """Sets, models and voices are those of the key; a name with a colon that is no set belongs to the key."""
    models = {"default": ["Ada", "Charlotte"], "gaming": ["gaming/Charlotte", "gaming/Zed"]}
    expected = [model for name in sets for model in models[name]]
    async with bound.get("/v1/sets", headers=bearer(key)) as response:
        assert [entry["name"] for entry in (await response.json())["sets"]] == sets
    async with bound.get("/v1/models", headers=bearer(key)) as response:
        assert [model["id"] for model in (await response.json())["data"]] == expected
    async with bound.get("/v1/voices", headers=bearer(key)) as response:
        assert [voice["name"] for voice in await response.json()] == expected
    async with bound.get("/v1/health", headers=bearer(key)) as response:
        assert (await response.json())["characters"] == len(expected)


@pytest.mark.parametrize("key", [None, "wrong-sesame"])
async def test_caller_without_a_key_sees_what_every_key_sees(bound: Client, key: str | None) -> None:
    """Leaving a key out shows nothing that it hides; the server is healthy all the same."""
    async with bound.get("/v1/voices", headers=bearer(key)) as response:
        assert await response.json() == []
    async with bound.get("/v1/health", headers=bearer(key)) as response:
        found = await response.json()
    assert (found["ok"], found["characters"]) == (True, 0)


async def test_health_of_a_bound_key_is_that_of_its_sets(serve: Callable[..., Awaitable[Client]], games: Path) -> None:
    """A hidden set that serves makes nothing well for a key that sees an empty one only."""
    for file in games.iterdir():
        file.unlink()
    client = await serve(api_key=KEYS)
    found = {}
    for key in ("players-sesame", "pupils-sesame", None):
        async with client.get("/v1/health", headers=bearer(key)) as response:
            found[key] = (await response.json())["ok"]
    assert found == {"players-sesame": False, "pupils-sesame": True, None: True}


async def test_without_bound_keys_voices_are_for_everybody(serve: Callable[..., Awaitable[Client]]) -> None:
    """Keys that are bound to nothing hide nothing."""
    client = await serve(api_key="free-sesame")
    async with client.get("/v1/voices") as response:
        assert len(await response.json()) == 4


async def test_bare_names_of_a_bound_key_are_of_its_set(bound: Client) -> None:
    """Where the default set is hidden, the key's own set takes its place, also in a session without a model."""
    body = {"model": "Charlotte", "messages": HELLO}
    async with bound.post("/v1/chat/completions", json=body, headers=bearer("players-sesame")) as response:
        assert (await response.json())["model"] == "gaming/Charlotte"
    async with bound.ws_connect("/v1/realtime?dialect=ga", headers=bearer("players-sesame")) as ws:
        assert (await ws.receive_json(timeout=60))["session"]["model"] == "gaming/Charlotte"


@pytest.mark.parametrize("query", ["model=NAME", "set=SET", "model=SET/NAME", "set=SET&model=NAME"])
async def test_hidden_session_is_refused_as_an_unknown_one(bound: Client, query: str) -> None:
    """The event and the close code of the WebSocket do not tell the two apart."""
    found = []
    for names in (("Ada", "default"), ("Eva", "nowhere")):
        url = f"/v1/realtime?dialect=ga&{filled(query, *names)}"
        async with bound.ws_connect(url, headers=bearer("players-sesame")) as ws:
            error = (await ws.receive_json(timeout=60))["error"]
            await ws.receive(timeout=60)
            text = error["message"].replace(names[0], "…").replace(names[1], "…")
            found.append((error["code"], text, ws.close_code))
    assert found[0] == found[1]


async def test_hidden_set_is_not_listed_over_the_socket(bound: Client) -> None:
    """`session.characters.list` looks in the key's own view, and a voice of a hidden set chooses nothing."""
    async with bound.ws_connect("/v1/realtime?dialect=ga", headers=bearer("players-sesame")) as ws:
        await ws.receive_json(timeout=60)
        codes = []
        for name in ("default", "nowhere"):
            await ws.send_json({"type": "session.characters.list", "set": name})
            codes.append((await ws.receive_json(timeout=60))["error"]["code"])
        assert codes == ["set_not_found", "set_not_found"]
        await ws.send_json({"type": "session.update", "session": {"type": "realtime", "model": "Ada"}})
        assert (await ws.receive_json(timeout=60))["session"]["model"] == "gaming/Charlotte"


async def test_secret_of_a_bound_key_reaches_its_sets_only(bound: Client) -> None:
    """A client secret has the view of the key that made it."""
    async with bound.post("/v1/realtime/client_secrets", json={}, headers=bearer("players-sesame")) as response:
        secret = (await response.json())["value"]
    async with bound.ws_connect("/v1/realtime?dialect=ga&model=Ada", headers=bearer(secret)) as ws:
        assert (await ws.receive_json(timeout=60))["type"] == "error"
    async with bound.ws_connect("/v1/realtime?dialect=ga", headers=bearer(secret)) as ws:
        assert (await ws.receive_json(timeout=60))["session"]["model"] == "gaming/Charlotte"


async def test_conversations_of_two_keys_do_not_meet(bound: Client) -> None:
    """A stored response belongs to its key, whatever both may see."""
    body = {"model": "gaming/Zed", "input": "Hi"}
    async with bound.post("/v1/responses", json=body, headers=bearer("players-sesame")) as response:
        response_id = (await response.json())["id"]
    async with bound.get(f"/v1/responses/{response_id}", headers=bearer("both-sesame")) as response:
        assert response.status == 404


def test_key_is_bound_only_to_a_set_of_the_start() -> None:
    """Without that set the text before the colon belongs to the key, as it always did."""
    assert Settings(api_key="gaming:sesame").key_sets == {"gaming:sesame": None}
    assert Settings(api_key="gaming:sesame", set="gaming=/srv").key_sets == {"sesame": frozenset({"gaming"})}
    assert Settings(api_key="gaming:sesame,sesame", set="gaming=/srv").key_sets == {"sesame": None}


def test_entry_without_a_key_is_refused() -> None:
    """An empty key would be that of every caller without one."""
    with pytest.raises(SettingsError, match="CHARHOST_API_KEY has no key after gaming"):
        Settings(api_key="gaming:", set="gaming=/srv")
