"""The frames that wait to be sent to one client."""

import asyncio
from sys import getsizeof

from aiohttp import web

from charhost.memory.budget import Holding, MemoryBudget
from charhost.web.sessions.close_message import CloseMessage

MOST_WAITING_FRAMES = 256
MOST_WAITING_BYTES = 32 << 20
_CROWDED = 64
_CROWDED_BYTES = 1 << 20
# Of the budget of memory, so that it is asked once for thousands of words.
_GRAIN = 64 << 10


class Outbox:
    """A bounded queue of frames that ends with a close message; a client that lets it fill up is disconnected."""

    def __init__(self, request: web.Request, memory: Holding | None = None) -> None:
        self._request = request
        self._memory = memory or MemoryBudget().holding("outboxes")
        self._frames: asyncio.Queue[str | CloseMessage | None] = asyncio.Queue(MOST_WAITING_FRAMES)  # None is a ping
        self._bytes = 0
        self._taken = asyncio.Event()
        self.has_overflowed = False

    @property
    def is_waiting(self) -> bool:
        return not self._frames.empty()

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits that new events should wait, too."""
        return self._frames.qsize() > _CROWDED or self._bytes > _CROWDED_BYTES

    async def room(self) -> None:
        """Wait until the queue is short again; `Readers` cuts the connection of a client that takes nothing."""
        while self.is_crowded:
            self._taken.clear()
            await self._taken.wait()

    def put(self, frame: str | CloseMessage) -> None:
        if isinstance(frame, str):
            self._bytes += getsizeof(frame)
        is_full = self._frames.full()
        if not is_full:
            self._frames.put_nowait(frame)
        if self._bytes > self._memory.size + _GRAIN:
            is_full = not self._memory.take(self._bytes - self._memory.size) or is_full
        if is_full or (self._bytes > MOST_WAITING_BYTES and self._frames.qsize() > 1):
            self.has_overflowed = True
            abort(self._request)

    def close(self) -> None:
        """Give the memory back: the connection is over."""
        self._memory.resize(0)

    def ping(self) -> None:
        """Ping the client, unless frames wait, which are as good."""
        if not self.is_waiting:
            self._frames.put_nowait(None)

    async def pump(self, ws: web.WebSocketResponse) -> None:
        """Write queued frames, the close message last; nothing else writes to the socket."""
        while not isinstance(frame := await self._frames.get(), CloseMessage):
            if frame is None:
                await ws.ping()
                continue
            await ws.send_str(frame)
            self._bytes -= getsizeof(frame)
            if self._memory.size and self._bytes < _GRAIN:
                self._memory.resize(0)
            self._taken.set()
        await frame.send(ws)


def abort(request: web.Request) -> None:
    """Cut the connection of *request* now, if it is not lost already."""
    if request.transport is not None:
        request.transport.abort()
