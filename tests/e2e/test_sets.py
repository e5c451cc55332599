"""Unmodified clients reach a character of another set by the name in the list of models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.conftest import character
from tests.e2e.conftest import PATIENCE, Server, running
from tests.e2e.sdk import NO_PROXY, sdk, user

MODEL = "gaming/Charlotte"


@pytest.fixture
async def server(directory: Path, tmp_path: Path) -> AsyncIterator[Server]:
    """A server with Ada, and Charlotte in the set `gaming`."""
    games = tmp_path / "games"
    games.mkdir()
    (games / "charlotte.py").write_text(character("Charlotte"))
    async with running(directory, "--set", f"gaming={games}") as server:
        yield server


async def test_python_sdk_reaches_a_set(server: Server) -> None:
    """OpenAI's SDK lists, retrieves and chats with the model, whose name it encodes in the path."""
    hello: Any = [{"role": "user", "content": "Hello!"}]
    async with sdk(server) as client:
        assert [model.id async for model in client.models.list()] == ["Ada", MODEL]
        assert (await client.models.retrieve(MODEL)).id == MODEL
        completion = await client.chat.completions.create(model=MODEL, messages=hello)
        response = await client.responses.create(model=MODEL, input="Hello!")
        assert (completion.model, response.model) == (MODEL, MODEL)
        assert "Charlotte" in (completion.choices[0].message.content or "")
        secret = await client.realtime.client_secrets.create(session={"type": "realtime", "model": MODEL})
        assert getattr(secret.session, "model", None) == MODEL


async def test_python_sdk_holds_a_session_with_a_set(server: Server) -> None:
    """The SDK's WebSocket has a turn with the character of the set."""
    async with (
        sdk(server) as client,
        client.realtime.connect(model=MODEL, websocket_connection_options=NO_PROXY) as connection,
        asyncio.timeout(PATIENCE),
    ):
        created: Any = await connection.recv()
        assert created.session.model == MODEL
        await connection.conversation.item.create(item=user("Hello!"))
        await connection.response.create()
        while (event := await connection.recv()).type != "response.done":
            pass
        assert event.response.status == "completed"


async def test_default_query_of_the_sdk_narrows_to_a_set(server: Server) -> None:
    """With `default_query` a client talks to one set by bare names."""
    async with sdk(server) as client:
        narrowed = client.with_options(default_query={"set": "gaming"})
        assert [model.id async for model in narrowed.models.list()] == [MODEL]
        hello: Any = [{"role": "user", "content": "Hello!"}]
        assert (await narrowed.chat.completions.create(model="Charlotte", messages=hello)).model == MODEL


async def test_open_webui_lists_and_asks_a_set(server: Server) -> None:
    """Open WebUI asks for the models with its own headers, shows `name`, and sends the `id` back."""
    headers = {
        "Authorization": "Bearer any",
        "Content-Type": "application/json",
        "X-OpenWebUI-User-Name": "Ann",
        "X-OpenWebUI-User-Id": "u1",
    }
    async with ClientSession(headers=headers, trust_env=True) as http:
        async with http.get(f"{server.url}/v1/models") as response:
            listed = [(model["id"], model["name"]) for model in (await response.json())["data"]]
        assert listed == [("Ada", "Ada"), (MODEL, MODEL)]
        body = {"model": MODEL, "stream": False, "messages": [{"role": "user", "content": "Hello!"}]}
        chat = {"X-OpenWebUI-Chat-Id": "c1"}
        async with http.post(f"{server.url}/v1/chat/completions", json=body, headers=chat) as response:
            assert (response.status, (await response.json())["model"]) == (200, MODEL)
