"""How clients choose characters of several sets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from charhost.web.keys import SESSIONS
from tests.conftest import Client, character
from tests.web.two_sets import client, games, get, serve

__all__ = ["client", "games", "serve"]

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hi"}]


async def test_models_of_all_sets_are_listed_by_names_that_choose_them(client: Client) -> None:
    """Names of the default set are bare, those of another have it in front; `?set=` lists one set."""
    _, found = await get(client, "/v1/models")
    assert [model["id"] for model in found["data"]] == ["Ada", "Charlotte", "gaming/Charlotte", "gaming/Zed"]
    _, found = await get(client, "/v1/models?set=gaming")
    assert [(model["id"], model["alias"]) for model in found["data"]] == [
        ("gaming/Charlotte", "gaming/Charlotte"),
        ("gaming/Zed", "gaming/Zed"),
    ]


@pytest.mark.parametrize(
    "path", ["gaming/Charlotte", "gaming%2FCharlotte", "gaming%2fCharlotte", "Charlotte?set=gaming"]
)
async def test_model_of_a_set_is_found_by_either_slash(client: Client, path: str) -> None:
    """A client may encode the slash of a name, or narrow its request to the set."""
    async with client.session.get(URL(f"{client.make_url('/v1/models/')}{path}", encoded=True)) as response:
        assert (response.status, (await response.json())["id"]) == (200, "gaming/Charlotte")


@pytest.mark.parametrize(
    ("model", "query", "said"),
    [
        ("Charlotte", "", "Charlotte"),
        ("gaming/Charlotte", "", "gaming/Charlotte"),
        ("Charlotte", "?set=gaming", "gaming/Charlotte"),
        ("gaming/Charlotte", "?set=gaming", "gaming/Charlotte"),
        ("default/Ada", "", "Ada"),
        (" gaming/Zed ", "", "gaming/Zed"),
    ],
)
async def test_chat_reaches_the_set_in_the_name(client: Client, model: str, query: str, said: str) -> None:
    """A completion names the character by the name that reaches it from everywhere."""
    async with client.post(f"{CHAT}{query}", json={"model": model, "messages": HELLO}) as response:
        assert (response.status, (await response.json())["model"]) == (200, said)
    async with client.post(f"/v1/responses{query}", json={"model": model, "input": "Hi"}) as response:
        assert (response.status, (await response.json())["model"]) == (200, said)


async def test_catalog_is_that_of_one_set(client: Client) -> None:
    """Without `set` the catalog is the default one; each has the directory, generation and ETag of its set."""
    _, ours = await get(client, "/v1/characters")
    _, theirs = await get(client, "/v1/characters?set=gaming")
    assert [one["name"] for one in ours["characters"]] == ["Ada", "Charlotte"]
    assert [one["name"] for one in theirs["characters"]] == ["Charlotte", "Zed"]
    assert ours["directory"] != theirs["directory"]
    assert ours["revision"] != theirs["revision"]
    assert (await get(client, "/v1/characters?set=gaming&name=Zed"))[1]["file"] == "zed.py"


async def test_voices_have_keys_that_choose_them(client: Client) -> None:
    """The key of a voice of another set is its full name; both characters of one name can be chosen."""
    _, found = await get(client, "/v1/voices")
    keys = [voice["source"]["path_on_server"] for voice in found]
    assert [voice["name"] for voice in found] == ["Ada", "Charlotte", "gaming/Charlotte", "gaming/Zed"]
    assert keys == ["voices/ada.wav", "voices/charlotte.wav", "gaming/Charlotte", "gaming/Zed"]
    assert [voice["name"] for voice in (await get(client, "/v1/voices?set=gaming"))[1]] == keys[2:]


async def test_name_with_a_slash_stays_reachable(
    directory: Path, games: Path, serve: Callable[..., Awaitable[Client]]
) -> None:
    """A character of the default set whose name is that of another set's wins; `?set=` reaches the other one."""
    (directory / "slash.py").write_text(character("gaming/Zed", "Hide."))
    client = await serve()
    assert (await get(client, "/v1/characters/gaming/Zed"))[1]["file"] == "slash.py"
    assert (await get(client, "/v1/characters/Zed?set=gaming"))[1]["file"] == "zed.py"
    _, found = await get(client, "/v1/models")
    assert [model["id"] for model in found["data"]].count("gaming/Zed") == 1


@pytest.mark.parametrize("path", ["/v1/models", "/v1/voices", "/v1/characters", "/v1/characters/Ada", "/v1/models/Ada"])
async def test_unknown_set_is_refused(client: Client, path: str) -> None:
    """A set that is not there is an error of its own, in the shape of the path."""
    status, found = await get(client, f"{path}?set=school")
    assert (status, found.get("error", found)["code"]) == (404, "set_not_found")


@pytest.mark.parametrize(
    ("query", "model"),
    [
        ("model=gaming/Zed", "gaming/Zed"),
        ("set=gaming&model=Zed", "gaming/Zed"),
        ("set=gaming", "gaming/Charlotte"),
        ("model=Charlotte", "Charlotte"),
        ("set=default&model=Ada", "Ada"),
        ("", "Ada"),
    ],
)
async def test_session_has_the_character_of_the_set(client: Client, query: str, model: str) -> None:
    """`model` and `set` choose; without a model the set's default character speaks."""
    async with client.ws_connect(f"/v1/realtime?dialect=ga&{query}") as ws:
        created = await ws.receive_json(timeout=60)
        assert (created["type"], created["session"]["model"]) == ("session.created", model)


@pytest.mark.parametrize(
    ("query", "code"),
    [("set=school", "set_not_found"), ("model=school/Zed", "model_not_found"), ("model=Zed", "model_not_found")],
)
async def test_session_with_an_unknown_set_is_refused(client: Client, query: str, code: str) -> None:
    """The client is told after the upgrade, and closed with 4004."""
    async with client.ws_connect(f"/v1/realtime?dialect=ga&{query}") as ws:
        event = await ws.receive_json(timeout=60)
        assert event["error"]["code"] == code
        await ws.receive(timeout=60)
        assert ws.close_code == 4004


async def test_session_update_chooses_across_sets(client: Client) -> None:
    """A session that named no character may still choose one of another set, whose reloads it follows then."""
    async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
        await ws.receive_json(timeout=60)
        await ws.send_json({"type": "session.update", "session": {"type": "realtime", "model": "gaming/Zed"}})
        assert (await ws.receive_json(timeout=60))["session"]["model"] == "gaming/Zed"
        assert await sessions_of(client, "default") == 0
        assert await sessions_of(client, "gaming") == 1


async def test_voice_of_unmute_chooses_across_sets(client: Client) -> None:
    """A client of unmute's dialect sends the key of a voice back, and talks to that character."""
    async with client.ws_connect("/v1/realtime", protocols=["realtime"]) as ws:
        session = {"voice": "gaming/Zed", "instructions": None, "allow_recording": False}
        await ws.send_json({"type": "session.update", "session": session})
        while (event := await ws.receive_json(timeout=60))["type"] != "response.created":
            pass
        assert event["response"]["voice"] == "gaming/Zed"
        (session_,) = client.app[SESSIONS]._live.values()
        assert session_.name == "gaming/Zed"


async def test_resumed_session_comes_back_to_its_set(client: Client) -> None:
    """A lost session is resumed with the character of its set, not with one of the same name in another."""
    async with client.ws_connect("/v1/realtime?dialect=ga&model=gaming/Charlotte", autoclose=False) as ws:
        created = await ws.receive_json(timeout=60)
        async with client.ws_connect(f"/v1/realtime?resume={created['session']['id']}") as again:
            resumed = await again.receive_json(timeout=60)
            assert (resumed["type"], resumed["session"]["model"]) == ("session.created", "gaming/Charlotte")


async def test_secret_is_for_the_character_of_the_set(client: Client) -> None:
    """A client secret names the character by its full name, and opens its session only."""
    body = {"session": {"type": "realtime", "model": "gaming/Zed"}}
    async with client.post("/v1/realtime/client_secrets", json=body) as response:
        secret = await response.json()
    assert secret["session"]["model"] == "gaming/Zed"
    headers = {"Authorization": f"Bearer {secret['value']}"}
    async with client.ws_connect("/v1/realtime", headers=headers) as ws:
        assert (await ws.receive_json(timeout=60))["session"]["model"] == "gaming/Zed"


async def test_commands_list_the_named_set(client: Client) -> None:
    """`session.characters.list` takes a set; an unknown one is an error."""
    async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
        await ws.receive_json(timeout=60)
        counts: list[Any] = []
        for fields in ({}, {"set": "gaming"}, {"set": "school"}):
            await ws.send_json({"type": "session.characters.list", **fields})
            event = await ws.receive_json(timeout=60)
            counts.append((event.get("set"), event.get("error", {}).get("code")))
    assert counts == [(None, None), ("gaming", None), (None, "set_not_found")]


async def sessions_of(client: Client, name: str) -> int:
    """Return how many sessions the status of a set counts."""
    _, status = await get(client, f"/v1/characters/status?set={name}")
    return sum(entry["sessions"] for entry in status["generations"])
