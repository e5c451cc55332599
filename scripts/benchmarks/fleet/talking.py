"""Turns of clients that talk to a node."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

PATIENCE = 60.0


def message(text: str) -> dict[str, Any]:
    """Return an item of the user."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def turn(socket: aiohttp.ClientWebSocketResponse) -> float:
    """Have one turn, and return the milliseconds that it takes."""
    started = time.perf_counter()
    await socket.send_json({"type": "conversation.item.create", "item": message("Go on.")})
    await socket.send_json({"type": "response.create"})
    await until(socket, "response.done")
    return (time.perf_counter() - started) * 1000


async def until(socket: aiohttp.ClientWebSocketResponse, kind: str) -> Any:
    """Return the next event of that type."""
    async with asyncio.timeout(PATIENCE):
        while (event := await socket.receive_json())["type"] != kind:
            if event["type"] == "error":
                raise RuntimeError(f"the server sends an error: {event}")
    return event
