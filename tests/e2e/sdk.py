"""OpenAI's SDK as a client of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI

from tests.e2e.conftest import BlockingServer, Server

NO_PROXY: Any = {"proxy": None}


@asynccontextmanager
async def sdk(server: Server | BlockingServer) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client of that server."""
    base = f"{server.url}/v1"
    async with AsyncOpenAI(
        base_url=base, websocket_base_url=base.replace("http", "ws", 1), api_key="x", max_retries=0
    ) as client:
        yield client


def user(text: str) -> Any:
    """Return an item with a message of the user."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
