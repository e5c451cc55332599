"""The catalog of characters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client, character
from tests.reload.helpers import Write

RELOAD = "/v1/characters/reload"
TOOLS = """
TOOLS = [{"type": "function", "function": {"name": "roll_dice"}}]
PromptGenerator.handle_tool_call = lambda self, tool_name, tool_input: "6"
"""
HOST_TOOLS = "HOST_TOOLS = ['list_characters']\n"


async def loaded(client: Client, write: Write, **sources: str) -> None:
    """Let the client's server load these files beside Ada's."""
    for stem, source in sources.items():
        write(f"{stem}.py", source)
    report = await (await client.post(RELOAD, json={})).json()
    assert report["errors"] == []


async def get(client: Client, path: str) -> Any:
    """The JSON at a path."""
    return await (await client.get(path)).json()


async def test_the_index_names_the_path_of_the_characters(client: Client) -> None:
    """The index is one line of text with the way to the characters."""
    answer = await client.get("/")
    assert (answer.status, answer.content_type) == (200, "text/plain")
    assert await answer.text() == "charhost serves 1 character: see /v1/characters and /v1/health.\n"


async def test_the_catalog_has_directory_generation_and_characters(client: Client, directory: Path) -> None:
    """The catalog is one set: its directory, its generation and its characters."""
    catalog = await get(client, "/v1/characters")
    assert list(catalog) == ["directory", "generation", "revision", "characters"]
    assert (catalog["directory"], catalog["generation"]) == (str(directory), 1)
    assert catalog["revision"].startswith("sha256:")
    assert [found["name"] for found in catalog["characters"]] == ["Ada"]


async def test_an_entry_has_the_attributes_of_its_file(client: Client, write: Write) -> None:
    """An entry has the public attributes of a character, the names of its tools, and which load it is from."""
    await loaded(client, write, bob=character("Bob") + TOOLS + HOST_TOOLS + "METADATA = {'good': False, 'age': 5}")
    entry = await get(client, "/v1/characters/Bob")
    assert entry.pop("fingerprint").startswith("sha256:")
    assert entry == {
        "name": "Bob",
        "file": "bob.py",
        "good": False,
        "comment": None,
        "voice_source": {"source_type": "file", "path_on_server": "voices/bob.wav"},
        "metadata": {"good": False, "age": 5},
        "tools": ["roll_dice"],
        "host_tools": ["list_characters"],
        "generation": 2,
    }


async def test_a_prompt_is_not_in_the_catalog(client: Client) -> None:
    """The prompt and the instructions of a character are not in the catalog."""
    for path in ("/v1/characters", "/v1/characters/Ada", "/v1/voices", "/v1/models", "/v1/characters/status"):
        assert "Be kind." not in await (await client.get(path)).text()


@pytest.mark.parametrize("name", ["Bob", " Bob ", "Bob\t"])
async def test_a_name_is_found_as_people_write_it(client: Client, write: Write, name: str) -> None:
    """Spaces around a name do not matter."""
    await loaded(client, write, bob=character("Bob"))
    assert (await get(client, f"/v1/characters/{quote(name)}"))["name"] == "Bob"


@pytest.mark.parametrize("name", ["Fabienne Dupont", "Aimée", "Aime\u0301e", "C/3PO", "50%", "a?b#c", "李白", "."])
async def test_a_name_may_hold_anything(client: Client, write: Write, name: str) -> None:
    """Names with spaces, slashes, percent signs and letters of any language are found by path and by query."""
    await loaded(client, write, other=character(name))
    assert (await client.get("/v1/characters", params={"name": name})).status == 200
    if name != ".":  # a path cannot end with it
        assert (await client.get(f"/v1/characters/{quote(name, safe='')}")).status == 200


@pytest.mark.parametrize("name", ["status", "reload"])
async def test_fixed_paths_win_over_names(client: Client, write: Write, name: str) -> None:
    """A character that is called like a path of the server is found by query."""
    await loaded(client, write, other=character(name))
    assert "serving" in await get(client, "/v1/characters/status")
    assert (await get(client, f"/v1/characters?name={name}"))["name"] == name


@pytest.mark.parametrize("path", ["/v1/characters/Bob", "/v1/characters?name=Bob", "/v1/characters?name="])
async def test_an_unknown_name_is_not_found(client: Client, path: str) -> None:
    """An unknown name is a 404 that names the catalog."""
    answer = await client.get(path)
    problem = await answer.json()
    assert (answer.status, answer.content_type) == (404, "application/problem+json")
    assert (problem["code"], "see /v1/characters" in problem["detail"]) == ("character_not_found", True)


async def test_every_character_is_a_model(client: Client, write: Write) -> None:
    """Models have the fields that OpenAI's clients require and the name that Open WebUI shows, whether good or not."""
    await loaded(client, write, bob=character("Bob") + "METADATA = {'good': False}")
    answer = await client.get("/v1/models")
    assert answer.content_type == "application/json"
    models = await answer.json()
    created = {model.pop("created") for model in models["data"]}
    assert len(created) == 1
    assert 0 <= time.time() - created.pop() < 60
    assert models == {
        "object": "list",
        "data": [
            {
                "id": name,
                "object": "model",
                "owned_by": "charhost",
                "name": name,
                "alias": name,
                "description": None,
                "context_length": 8192,
                "has_tools": False,
            }
            for name in ("Ada", "Bob")
        ],
    }


@pytest.mark.parametrize(("in_force", "told"), [(2048, 2048), (131_072, 8192), (None, 8192)])
async def test_the_context_length_is_what_a_model_can_be_sent(
    in_force: int | None, told: int, directory: Path, aiohttp_client: Callable[..., Awaitable[Client]]
) -> None:
    """It is the length in force where the model's server reports one, and at most --history-tokens."""

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "small", "max_model_len": in_force}]})

    upstream = web.Application()
    upstream.add_routes([web.get("/v1/models", models)])
    async with TestServer(upstream) as server:
        client = await aiohttp_client(create_app(Settings(directory=directory, llm_url=str(server.make_url("/v1")))))
        assert [model["context_length"] for model in (await get(client, "/v1/models"))["data"]] == [told]
        assert (await get(client, "/v1/models/Ada"))["context_length"] == told
        await client.close()


async def test_models_are_listed_without_a_server_of_the_model(
    directory: Path, aiohttp_client: Callable[..., Awaitable[Client]]
) -> None:
    """A model's server that is silent delays the list by no more than a question takes."""

    async def models(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    upstream = web.Application()
    upstream.add_routes([web.get("/v1/models", models)])
    async with TestServer(upstream) as server:
        client = await aiohttp_client(create_app(Settings(directory=directory, llm_url=str(server.make_url("/v1")))))
        async with asyncio.timeout(30):
            assert [model["id"] for model in (await get(client, "/v1/models"))["data"]] == ["Ada"]
        await client.close()


async def test_a_model_is_as_old_after_a_reload_as_before(client: Client, write: Write) -> None:
    """Nothing about a model changes while its name stays."""
    before = await get(client, "/v1/models/Ada")
    await loaded(client, write, ada=character("Ada", "Be brief."))
    assert await get(client, "/v1/models/Ada") == before


@pytest.mark.parametrize("name", ["Ada", "Fabienne Dupont", "Aime\u0301e", "C/3PO", "50%", "a?b#c", "李白"])
async def test_a_model_is_found_by_its_id(client: Client, write: Write, name: str) -> None:
    """A model is found by its id, whatever characters its name has."""
    await loaded(client, write, ada=character(name))
    (model,) = (await get(client, "/v1/models"))["data"]
    assert await get(client, f"/v1/models/{quote(model['id'], safe='')}") == model


async def test_an_unknown_model_is_not_found(client: Client) -> None:
    """An unknown model is a 404 in OpenAI's shape."""
    answer = await client.get("/v1/models/Nobody")
    error = (await answer.json())["error"]
    assert (answer.status, answer.content_type) == (404, "application/json")
    assert (error["code"], error["param"], error["type"]) == ("model_not_found", "model", "invalid_request_error")


async def test_voices_have_the_closed_shape_of_unmute(client: Client, write: Write) -> None:
    """A voice has name, good, instructions and source, a comment only where there is one, and nothing else."""
    await loaded(client, write, bob=character("Bob") + "METADATA = {'good': True, 'comment': 'Hi.', 'age': 5}")
    ada, bob = await get(client, "/v1/voices")
    assert ada == {
        "name": "Ada",
        "good": True,
        "instructions": None,
        "source": {"source_type": "file", "path_on_server": "voices/ada.wav"},
    }
    assert (set(bob) - set(ada), bob["comment"]) == ({"comment"}, "Hi.")


@pytest.mark.parametrize("metadata", ["{}", "{'good': False}", "{'good': None}"])
async def test_only_the_good_ones_are_voices(client: Client, write: Write, metadata: str) -> None:
    """A character that is not good is in the catalog, and not among the voices."""
    await loaded(client, write, bob=character("Bob") + f"METADATA = {metadata}")
    assert [voice["name"] for voice in await get(client, "/v1/voices")] == ["Ada"]
    assert (await get(client, "/v1/characters/Bob"))["good"] is not True


async def test_a_name_may_begin_like_a_fixed_path(client: Client, write: Write) -> None:
    """Only the exact path of the reload is no character's."""
    await loaded(client, write, bob=character("reloader"))
    assert (await get(client, "/v1/characters/reloader"))["name"] == "reloader"
