"""The frames that wait to be sent to one client."""

import asyncio

from aiohttp import web

from charhost.web.sessions.close_message import CloseMessage

MOST_WAITING_FRAMES = 256
MOST_WAITING_CHARACTERS = 32 << 20
_CROWDED = 64
_CROWDED_CHARACTERS = 1 << 20


class Outbox:
    """A bounded queue of frames that ends with a close message; a client that lets it fill up is disconnected."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._frames: asyncio.Queue[str | CloseMessage | None] = asyncio.Queue(MOST_WAITING_FRAMES)  # None is a ping
        self._characters = 0
        self._taken = asyncio.Event()
        self.has_overflowed = False

    @property
    def is_waiting(self) -> bool:
        return not self._frames.empty()

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits that new events should wait, too."""
        return self._frames.qsize() > _CROWDED or self._characters > _CROWDED_CHARACTERS

    async def room(self) -> None:
        """Wait until the queue is short again; `Readers` cuts the connection of a client that takes nothing."""
        while self.is_crowded:
            self._taken.clear()
            await self._taken.wait()

    def put(self, frame: str | CloseMessage) -> None:
        if isinstance(frame, str):
            self._characters += len(frame)
        is_full = self._frames.full()
        if not is_full:
            self._frames.put_nowait(frame)
        if is_full or (self._characters > MOST_WAITING_CHARACTERS and self._frames.qsize() > 1):
            self.has_overflowed = True
            abort(self._request)

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
            self._characters -= len(frame)
            self._taken.set()
        await frame.send(ws)


def abort(request: web.Request) -> None:
    """Cut the connection of *request* now, if it is not lost already."""
    if request.transport is not None:
        request.transport.abort()
