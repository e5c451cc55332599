"""A server for the character directory, and steps that tests take with its sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import websockets
from aiohttp import ClientWebSocketResponse, WSMsgType
from websockets.asyncio.client import ClientConnection

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import METRICS, SESSIONS
from tests.conftest import Client

REALTIME = "/v1/realtime?dialect=ga"


HOLDING = "/v1/realtime"  # where nothing says which dialect a client speaks


RELOAD = "/v1/characters/reload"


StartClient = Callable[..., Awaitable[Client]]


@pytest.fixture
def start(aiohttp_client: StartClient, directory: Path) -> StartClient:
    """Starts a server for the directory, with further settings."""

    async def start(**values: Any) -> Client:
        return await aiohttp_client(create_app(Settings(**{"directory": directory, **values})))

    return start


async def reload(client: Client, **fields: object) -> Any:
    """The report of a reload that was applied."""
    answer = await client.post(RELOAD, json=fields)
    assert answer.status == 200
    return await answer.json()


async def events(ws: ClientWebSocketResponse) -> tuple[list[Any], int, str]:
    """All that a client is sent until the end, the close code and the reason."""
    received = []
    while (message := await ws.receive(timeout=60)).type is WSMsgType.TEXT:
        received.append(message.json())
    assert message.type is WSMsgType.CLOSE
    return received, message.data, message.extra or ""


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that no event announces."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def closed(client: Client, reason: str) -> float | None:
    """How many sessions ended for that reason."""
    return client.app[METRICS].registry.get_sample_value("charhost_sessions_closed_total", {"reason": reason})


def stuck_client(client: Client) -> Any:
    """A WebSocket client that is never read from, once a few frames have come."""
    url = str(client.make_url(REALTIME)).replace("http", "ws", 1)
    return websockets.connect(url, max_queue=1, ping_interval=None, close_timeout=0.1, compression=None, proxy=None)


async def fill_pipes(client: Client, stuck: ClientConnection) -> None:
    """Send until the server waits for the client to read: it has sent more than a network connection buffers."""
    sending = asyncio.create_task(flood(stuck))
    await until(lambda: any(live.outbox.is_crowded for live in client.app[SESSIONS]._live.values()))
    sending.cancel()
    await asyncio.wait([sending])


async def flood(stuck: ClientConnection) -> None:
    """Send without end."""
    while True:
        await stuck.send(json.dumps({"type": "session.update", "session": {"instructions": "e" * 100_000}}))
