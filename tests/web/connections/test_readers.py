"""Readers: which connections are cut because their client takes nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charhost.metrics import Metrics
from charhost.web.connections import readers
from charhost.web.connections.readers import LOOK_EVERY, STALLED_READER_LIMIT, Readers
from charhost.web.connections.tcp_info import tcp_info, waiting_bytes
from charhost.web.keys import METRICS
from charhost.web.security.tls import tls_context
from tests.conftest import Client
from tests.scripted import LIMIT

LATE = STALLED_READER_LIMIT + LOOK_EVERY
SOME = b"x" * (8 << 20)


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """A connection with small buffers: the transport of the server, and the socket of the client."""
    made: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            made.set_result(transport)

    server = await asyncio.get_running_loop().create_server(Accepted, "127.0.0.1", 0)
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        await asyncio.get_running_loop().sock_connect(client, server.sockets[0].getsockname())
        yield await made, client
    server.close()


def watched(transport: asyncio.Transport) -> tuple[Readers, list[bool]]:
    """Return the readers with that one, and a list that is filled when it is cut."""
    found, cuts = Readers(Metrics()), list[bool]()
    request: Any = SimpleNamespace(transport=transport)
    found.watch(request, lambda: cuts.append(True))
    return found, cuts


async def test_connection_over_tls_that_is_closed_twice_is_forgotten(certificate: tuple[Path, Path]) -> None:
    """aiohttp closes a connection again when its client has gone; it waits for nothing, and others are looked at."""
    made: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(
        lambda _, writer: made.set_result(writer), "127.0.0.1", 0, ssl=tls_context(*certificate)
    )
    trusting = ssl.create_default_context(cafile=certificate[0])
    host, port = server.sockets[0].getsockname()
    _, client = await asyncio.open_connection(host, port, ssl=trusting, server_hostname="localhost")
    transport: Any = (await made).transport
    found, cuts = watched(transport)
    client.transport.abort()
    transport.close()
    transport.close()
    await found._look(LATE)
    assert (found._watched, cuts, waiting_bytes(transport)) == ({}, [], 0)
    assert tcp_info(transport, "bytes_acknowledged") is None
    server.close()


async def test_client_that_takes_nothing_is_cut_once() -> None:
    """A client is cut when it took no byte for half a minute, and not before."""
    async with connection() as (transport, _):
        found, cuts = watched(transport)
        transport.write(SOME)
        await settle(transport)
        for seconds in (0.0, LATE - 1):
            await found._look(seconds)
        assert cuts == []
        for seconds in (LATE, 2 * LATE):
            await found._look(seconds)
        assert cuts == [True]
        transport.abort()


async def test_client_that_takes_a_little_now_and_then_stays() -> None:
    """Bytes that the client takes begin its time again, although its queue is no shorter."""
    async with connection() as (transport, client):
        found, cuts = watched(transport)
        transport.write(SOME)
        for number in range(4):
            await settle(transport)
            await found._look(number * (LATE - 1))
            before = tcp_info(transport, "bytes_acknowledged")
            transport.write(SOME)
            async with asyncio.timeout(LIMIT):
                while tcp_info(transport, "bytes_acknowledged") == before:
                    await asyncio.get_running_loop().sock_recv(client, 1 << 16)
        assert cuts == []
        transport.abort()


async def test_client_for_which_nothing_waits_may_be_silent() -> None:
    """An idle connection is left alone."""
    async with connection() as (transport, _):
        found, cuts = watched(transport)
        for number in range(4):
            await found._look(number * LATE)
        assert cuts == []
        transport.abort()


async def test_connection_that_is_lost_is_forgotten() -> None:
    """Nothing is kept of a connection that is closed."""
    async with connection() as (transport, _):
        found, cuts = watched(transport)
        transport.close()
        await found._look(0)
        assert (found._watched, cuts) == ({}, [])


async def test_response_in_one_piece_is_watched_too(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks for more pages than its connection holds, and reads none, is cut."""
    monkeypatch.setattr(readers, "STALLED_READER_LIMIT", 0.5)
    monkeypatch.setattr(readers, "LOOK_EVERY", 0.1)
    with socket.socket() as quiet:
        quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        quiet.connect((client.host, client.port))
        quiet.settimeout(0)
        async with asyncio.timeout(LIMIT):
            while not client.app[METRICS].registry.get_sample_value("charhost_readers_cut_total"):
                with suppress(OSError):  # its own buffer is full, or it is cut
                    quiet.send(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await asyncio.sleep(0.01)


async def settle(transport: asyncio.Transport) -> None:
    """Wait until the client's acknowledgements stand still."""
    async with asyncio.timeout(LIMIT):
        before = None
        while before != (before := tcp_info(transport, "bytes_acknowledged")):
            await asyncio.sleep(0.3)
