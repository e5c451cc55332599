"""The event loop of a server, which keeps descriptors back for its files, its state and its models."""

import asyncio
import errno
import json
import logging
import os
import resource
import selectors
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from selectors import BaseSelector
from ssl import SSLContext
from typing import Any, Literal

from aiohttp import web

from charhost.logs.fault_log import FaultLog
from charhost.web.connections.pace import Pace

log = logging.getLogger("charhost.web")

# Descriptors kept back, beside one for each request to a model.
_RESERVE = 64

# Connections that are accepted in one turn of the event loop, and those that may wait for it: after a reload thousands
# come at once, and the clients whose attempts are dropped try again after a second or more.
_ACCEPTED_AT_ONCE = 8
_BACKLOG = 1024

# Connections of which data or an end is taken in one turn: thousands may vanish at once.
_READY_AT_ONCE = 32

# Refused connections that are open until their clients have read why.
_MOST_REFUSED = 16
_REFUSAL_SECONDS = 1.0
_HANDSHAKE_SECONDS = 10.0

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def raise_descriptor_limit() -> int:
    """Raise the limit of the process as far as it may, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def most_connections(llm_concurrency: int) -> int:
    """Return how many connections leave descriptors for everything else."""
    most = raise_descriptor_limit()
    return max(1, most - min(_RESERVE + _MOST_REFUSED + llm_concurrency, most // 2))


class FewAtOnce(selectors.DefaultSelector):
    """Reports a few of the ready connections at a time; the others are still ready in the next turn, and come first.

    Without that those that always have data would be the only ones, as the system reports them in the same order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._had_turn: set[int] = set()  # the descriptors that were reported while others waited

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        if len(ready) <= _READY_AT_ONCE:
            self._had_turn.clear()
            return ready
        chosen = [one for one in ready if one[0].fd not in self._had_turn][:_READY_AT_ONCE]
        if len(chosen) < _READY_AT_ONCE:  # all have had one, and the next round begins
            again = [one for one in ready if one[0].fd in self._had_turn]
            self._had_turn.clear()
            self._had_turn.update([key.fd for key, _ in again[: _READY_AT_ONCE - len(chosen)]])
            return chosen + again[: _READY_AT_ONCE - len(chosen)]
        self._had_turn.update([key.fd for key, _ in chosen])
        return chosen


class ServerLoop(asyncio.SelectorEventLoop):
    """Refuses connections above a limit, paces requests, and logs once a minute that there are no more descriptors."""

    def __init__(self, selector: BaseSelector, most: int) -> None:
        super().__init__(selector)
        self._most = most
        self._refused = 0
        self._busy: set[asyncio.Transport | None] = set()
        self._next_cut = 0.0
        # The connections without TLS yet, and when they began.
        self._greeting: dict[asyncio.Task[None], float] = {}
        self._faults = FaultLog(log)
        self._pace = Pace()

    async def create_server(  # type: ignore[override]
        self, protocol_factory: web.Server, *args: Any, ssl: SSLContext | None = None, **options: Any
    ) -> asyncio.Server:
        protocol_factory.request_handler = partial(self._handle, protocol_factory.request_handler)
        options["backlog"] = _ACCEPTED_AT_ONCE  # for asyncio that, too
        server = await super().create_server(lambda: _Door(self, protocol_factory, ssl), *args, **options)
        for listening in server.sockets:
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                same.listen(_BACKLOG)
        return server

    def call_exception_handler(self, context: Any) -> None:
        error = context.get("exception")
        if "socket" in context and isinstance(error, OSError) and error.errno in _EXHAUSTED:
            self._faults.error("a connection could not be accepted; trying again each second", cause=error)
        else:
            super().call_exception_handler(context)

    def has_room(self, server: web.Server) -> bool:
        """Return whether one more connection may be served; if not, close those that are idle."""
        return len(server.connections) < self._most or self._refuse(server)

    def greet(self, door: "_Door", server: web.Server, transport: asyncio.Transport, context: SSLContext) -> None:
        """Begin TLS with a client, whose connection counts meanwhile; drop it if there is no room."""
        transport.pause_reading()  # what comes now is of the handshake
        if len(server.connections) + len(self._greeting) >= self._most + _MOST_REFUSED:
            self._refuse(server)
            transport.abort()
            return
        greeting = self.create_task(self._greet(door, transport, context))
        self._greeting[greeting] = time.monotonic()
        greeting.add_done_callback(lambda _: self._greeting.pop(greeting))

    async def _greet(self, door: "_Door", transport: asyncio.Transport, context: SSLContext) -> None:
        try:
            secured = await self.start_tls(
                transport, door, context, server_side=True, ssl_handshake_timeout=_HANDSHAKE_SECONDS
            )
        except OSError:  # it leaves, speaks no TLS, or is too slow
            return
        if secured is not None:
            door.enter(secured)

    def _refuse(self, server: web.Server) -> Literal[False]:
        self._faults.error(
            "at the limit of %d connections: more are refused; raise the limit of descriptors (ulimit -n)", self._most
        )
        if time.monotonic() > self._next_cut:
            self._next_cut = time.monotonic() + 1
            for connection in server.connections:
                if connection.transport not in self._busy:
                    connection.force_close()
            for greeting, began in self._greeting.items():
                if time.monotonic() > began + _REFUSAL_SECONDS:
                    greeting.cancel()
        return False

    def count_refused(self, change: int) -> bool:
        """Count the refused connections that are open; return whether there may be so many."""
        self._refused += change
        return self._refused <= _MOST_REFUSED

    async def _handle(self, handler: _Handler, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        self._busy.add(transport)
        try:
            await self._pace.turn()
            return await handler(request)
        finally:
            self._busy.discard(transport)


class _Door(asyncio.Protocol):
    """Gives a connection to the server, once it has TLS if it needs that, or refuses it."""

    def __init__(self, loop: ServerLoop, server: web.Server, context: SSLContext | None) -> None:
        self._loop = loop
        self._server = server
        self._context = context
        self._early = b""
        self._refused: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._context is None:
            self.enter(transport)
        else:
            self._loop.greet(self, self._server, transport, self._context)

    def enter(self, transport: asyncio.Transport) -> None:
        # Not when it is accepted: the connections that are accepted together are not open yet then.
        if self._loop.has_room(self._server):
            handler = self._server()
            transport.set_protocol(handler)
            handler.connection_made(transport)
            if self._early:
                handler.data_received(self._early)
            return
        self._refused = transport
        transport.write(_RESPONSE)
        if self._loop.count_refused(1):
            # Closed before the request has come, it would be reset, and the client might not read the response.
            self._loop.call_later(_REFUSAL_SECONDS, transport.close)
        else:
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._refused is not None:
            self._refused.close()
        else:
            self._early += data  # right behind the handshake

    def connection_lost(self, error: Exception | None) -> None:
        if self._refused is not None:
            self._loop.count_refused(-1)


def _response() -> bytes:
    detail = "The server is at its limit of connections; try again later."
    body = json.dumps({"status": 503, "title": "Service Unavailable", "code": "too_many_connections", "detail": detail})
    head = "Content-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\n"
    return f"HTTP/1.1 503 Service Unavailable\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


_RESPONSE = _response()
