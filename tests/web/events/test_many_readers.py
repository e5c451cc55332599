"""GET /v1/events with many readers, of whom some do not read."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.events import feed
from charhost.web.keys import FEED
from tests.conftest import Client
from tests.e2e.mute_clients import small_socket

LIMIT = 120.0
READERS, SILENT = 190, 10
REQUEST = b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
EVENTS = 80
CONTENT = "x" * (16 << 10)
MOST_WAITING = 1 << 19


@asynccontextmanager
async def reader(port: int) -> AsyncIterator[asyncio.StreamReader]:
    """Open the stream of events, and read its beginning."""
    stream, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(REQUEST)
    await stream.readuntil(b"event: model\n")
    yield stream
    writer.close()


@asynccontextmanager
async def silent(port: int) -> AsyncIterator[socket.socket]:
    """Ask for the events, and read nothing."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        await asyncio.get_running_loop().sock_sendall(client, REQUEST)
        yield client


def resident() -> int:
    """Return the bytes of memory that this process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.slow
async def test_readers_that_do_not_read_are_dropped_and_delay_no_other(
    settings: Settings, aiohttp_client: Callable[..., Awaitable[Client]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event reaches all that read before the next is sent; the backlog of the others is bounded, until they go."""
    monkeypatch.setattr(feed, "MOST_WAITING_BYTES", MOST_WAITING)
    app = create_app(settings)
    port = (await aiohttp_client(TestServer(app, socket_factory=small_socket))).port
    assert port is not None
    async with asyncio.timeout(LIMIT), AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(reader(port)) for _ in range(READERS)]
        for _ in range(SILENT):
            await stack.enter_async_context(silent(port))
        while len(app[FEED]) < READERS + SILENT:
            await asyncio.sleep(0.01)
        before = resident()
        for number in range(EVENTS):
            app[FEED].publish("load", f"{number} {CONTENT}")
            await asyncio.gather(*(stream.readuntil(b'data: "%d ' % number) for stream in streams))
        assert len(app[FEED]) == READERS
        assert resident() - before < 4 * SILENT * MOST_WAITING
