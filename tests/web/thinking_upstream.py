"""A server in front of a strict model's server, a character with a tool, and talks with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestServer

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import SESSIONS
from tests.conftest import Client, character
from tests.strict_upstream import StrictUpstream
from tests.web.realtime.server import until

CHAT = "/v1/chat/completions"
HI = {"role": "user", "content": "Hi"}
LOOK: dict[str, Any] = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
HANDLER = "\n    def handle_tool_call(self, name, arguments):\n        return 'A door.'\n"
LOOKER = f"TOOLS = [{LOOK!r}]\n{character('Ada')}{HANDLER}"


@asynccontextmanager
async def served(directory: Path, upstream: StrictUpstream, **settings: Any) -> AsyncIterator[Client]:
    """A server of the directory in front of that model."""
    app = create_app(Settings(directory=directory, llm_url=upstream.url, llm_model="strict", **settings))
    async with Client(TestServer(app)) as client:
        yield client


async def talked(client: Client, session: str | None, turns: int = 2) -> str:
    """Hold turns over a WebSocket, and break the connection; return the id of the session."""
    query = {"model": "Ada", "dialect": "ga"} | ({"resume": session} if session else {})
    socket = await client.ws_connect("/v1/realtime", params=query)
    session = (await socket.receive_json())["session"]["id"]
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    for _ in range(turns):
        await socket.send_json({"type": "conversation.item.create", "item": item})
        await socket.send_json({"type": "response.create"})
        while (event := await socket.receive_json())["type"] != "response.done":
            assert "I should" not in json.dumps(event)
        assert event["response"]["status"] == "completed"
    connection = socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.abort()
    await until(lambda: not len(client.app[SESSIONS]))
    assert session is not None
    return session
