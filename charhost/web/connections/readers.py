"""Readers: the clients for which data waits, and the end of those that take none of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from charhost.logs.line_limit import limited
from charhost.memory.budget import MemoryBudget
from charhost.metrics import Metrics
from charhost.reload.turns import in_turns
from charhost.web.connections.tcp_info import tcp_info, waiting_bytes
from charhost.web.sessions.outbox import abort

log = logging.getLogger("charhost.web")

# Seconds in which a client has to take a byte of the data that waits for it.
STALLED_READER_LIMIT = 30.0
LOOK_EVERY = 2.0


@dataclass(eq=False, slots=True)
class _Reader:
    cut: Callable[[], None]
    since: float
    taken: int | None = None
    waiting: int = 0

    def look(self, transport: asyncio.Transport, now: float) -> bool:
        """Return whether the client has taken nothing for too long."""
        taken, waiting = tcp_info(transport, "bytes_acknowledged"), waiting_bytes(transport)
        has_taken = waiting < self.waiting if taken is None else taken != self.taken
        if has_taken or not waiting:
            self.since = now
        self.taken, self.waiting = taken, waiting
        return now - self.since >= STALLED_READER_LIMIT + LOOK_EVERY


class Readers:
    """Looks at all connections every few seconds, so that the single writes cost nothing; lives like the application.

    A client takes data when it acknowledges bytes: not by a pong or another message, nor when the kernel of this
    machine takes them.
    """

    def __init__(self, metrics: Metrics, budget: MemoryBudget | None = None) -> None:
        self._metrics = metrics
        self._memory = (budget or MemoryBudget()).holding("connections")
        self._watched: dict[asyncio.Transport, _Reader] = {}

    def watch(self, request: web.Request, cut: Callable[[], None]) -> None:
        """Call *cut* if the client of *request* takes none of the data that waits for it, now or later."""
        if request.transport is not None:
            self._watched[request.transport] = _Reader(cut, asyncio.get_running_loop().time())

    async def note(self, request: web.Request, _: web.StreamResponse) -> None:
        """Watch the client of a response that is being prepared."""
        self.watch(request, partial(abort, request))

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """Look until the application stops."""
        looking = asyncio.create_task(self._look_again())
        yield
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self._look(asyncio.get_running_loop().time())

    async def _look(self, now: float) -> None:
        waiting = 0
        async for transport, reader in in_turns(list(self._watched.items())):
            if transport.is_closing() and not waiting_bytes(transport):
                del self._watched[transport]
            elif reader.look(transport, now):
                del self._watched[transport]
                log.info("a client took no byte for %g s: its connection is cut", STALLED_READER_LIMIT, extra=limited())
                self._metrics.readers_cut.inc()
                reader.cut()
            else:
                waiting += reader.waiting
        self._memory.resize(waiting)
