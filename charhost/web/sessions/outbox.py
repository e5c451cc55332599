"""Outbox: what waits to be sent to one client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from charhost.web.sessions.close_message import Farewell

MOST_WAITING_FRAMES = 256
MOST_WAITING_CHARACTERS = 32 << 20
_CROWDED = 64
_CROWDED_CHARACTERS = 1 << 20


class Outbox:
    """A bounded queue of frames, at whose end there is a farewell; calls *overflow* when the client lets it fill up."""

    def __init__(self, overflow: Callable[[], None]) -> None:
        self._overflow = overflow
        self._frames: asyncio.Queue[str | Farewell] = asyncio.Queue(MOST_WAITING_FRAMES)
        self._characters = 0
        self._taken = asyncio.Event()

    @property
    def is_crowded(self) -> bool:
        """Whether much waits to be sent."""
        return self._frames.qsize() > _CROWDED or self._characters > _CROWDED_CHARACTERS

    async def room(self) -> None:
        """Wait until the client has taken most of what waits; one that takes nothing is found by its heartbeat."""
        while self.is_crowded:
            self._taken.clear()
            await self._taken.wait()

    def put(self, frame: str | Farewell) -> None:
        """Queue *frame*."""
        if isinstance(frame, str):
            self._characters += len(frame)
        try:
            self._frames.put_nowait(frame)
        except asyncio.QueueFull:
            self._overflow()
        if self._characters > MOST_WAITING_CHARACTERS and self._frames.qsize() > 1:
            self._overflow()

    async def pump(self, ws: web.WebSocketResponse) -> None:
        """Write queued frames until the farewell; the only writer of the socket."""
        while not isinstance(frame := await self._frames.get(), Farewell):
            await ws.send_str(frame)
            self._characters -= len(frame)
            self._taken.set()
        if frame.frame is not None:
            await ws.send_str(frame.frame)
        # Without drain=False aiohttp waits, beyond any time limit, for a client that has stopped reading.
        await ws.close(code=frame.code, message=frame.close_reason, drain=False)

    def clear(self) -> None:
        """Let go of what nobody will take any more, and of whom to tell of it."""
        self._frames = asyncio.Queue(MOST_WAITING_FRAMES)
        self._overflow = lambda: None
