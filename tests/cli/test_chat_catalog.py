"""The characters of a server, as `charhost chat` asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from charhost.cli.chat_catalog import ChatCatalog
from charhost.cli.client import CommandFailed, Exit
from tests.cli.recording_server import RecordingServer


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def catalog(server: RecordingServer, http: aiohttp.ClientSession) -> ChatCatalog:
    return ChatCatalog(server.url, http)


async def test_characters_are_listed(server: RecordingServer, catalog: ChatCatalog) -> None:
    """The list is that of the server."""
    server.body = {"characters": [{"name": "Ada"}]}
    assert await catalog.characters() == [{"name": "Ada"}]
    assert server.requests == [("GET", "/v1/characters", None)]


async def test_server_that_lists_none_has_none(server: RecordingServer, catalog: ChatCatalog) -> None:
    """A refusal is no error of the chat: it goes on without a list and without a generation."""
    server.status, server.body = 401, {"detail": "No."}
    assert (await catalog.characters(), await catalog.generation("Ada")) == ([], None)


async def test_name_is_a_step_of_the_path(server: RecordingServer, catalog: ChatCatalog) -> None:
    """A name with a slash or a space stays one name."""
    server.body = {"generation": 7}
    assert await catalog.generation("gaming/Zed X") == 7
    assert server.requests == [("GET", "/v1/characters/gaming/Zed%20X", None)]


async def test_prompt_takes_the_key_for_admins(
    server: RecordingServer, catalog: ChatCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompt is asked for with the admin key of the environment, if there is one."""
    server.body = {"prompt": "Be kind."}
    monkeypatch.setenv("CHARHOST_ADMIN_KEY", "a key of sixteen characters")
    assert await catalog.prompt("Ada") == "Be kind."
    assert server.sent[0]["Authorization"] == "Bearer a key of sixteen characters"


async def test_refused_prompt_is_an_error_with_its_detail(server: RecordingServer, catalog: ChatCatalog) -> None:
    """The reason of the server is passed on."""
    server.status, server.body = 404, {"detail": "No character is called Bob."}
    with pytest.raises(CommandFailed, match="No character is called Bob") as failed:
        await catalog.prompt("Bob")
    assert failed.value.status == Exit.REFUSED


@pytest.mark.parametrize("body", ["<html>", "[1]"])
async def test_response_that_is_no_object_is_an_error(server: RecordingServer, catalog: ChatCatalog, body: str) -> None:
    """Another server at the address is as good as none."""
    server.status, server.body = 502, body
    with pytest.raises(CommandFailed) as failed:
        await catalog.prompt("Ada")
    assert failed.value.status == Exit.UNREACHABLE
