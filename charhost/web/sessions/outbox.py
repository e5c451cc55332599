"""The frames that wait to be sent to one client."""

from dataclasses import dataclass
from sys import getsizeof

from aiohttp import web

from charhost.memory.budget import Holding, MemoryBudget
from charhost.web.connections.signal import Signal
from charhost.web.sessions.close_message import CloseMessage

MOST_WAITING_FRAMES = 256
MOST_WAITING_BYTES = 32 << 20
_CROWDED = 64
_CROWDED_BYTES = 1 << 20
# Of the budget of memory, so that it is asked once for thousands of words.
_GRAIN = 64 << 10


@dataclass(slots=True)
class _Sound:
    """A frame with *size* bytes of the sound of a response; without the frame once it was dropped."""

    frame: str | None
    response_id: str
    size: int


class Outbox:
    """A bounded queue of frames that ends with a close message; a client that lets it fill up is disconnected."""

    def __init__(self, request: web.Request, memory: Holding | None = None) -> None:
        self._request = request
        self._memory = memory or MemoryBudget().holding("outboxes")
        # Lists, which are short, and hold little while they are empty: thousands of sessions have them.
        self._frames: list[str | _Sound | CloseMessage | None] = []  # None is a ping
        self._filled = Signal()
        self._sounds: list[_Sound] = []  # those of the frames
        self._bytes = 0
        self._taken = Signal()
        self.has_overflowed = False

    @property
    def is_waiting(self) -> bool:
        return bool(self._frames)

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits that new events should wait, too."""
        return len(self._frames) > _CROWDED or self._bytes > _CROWDED_BYTES

    async def room(self) -> None:
        """Wait until the queue is short again; `Readers` cuts the connection of a client that takes nothing."""
        while self.is_crowded:
            self._taken.clear()
            await self._taken.wait()

    def put(self, frame: str | CloseMessage) -> None:
        self._put(frame, getsizeof(frame) if isinstance(frame, str) else 0)

    def put_sound(self, frame: str, response_id: str, size: int) -> None:
        """Queue *size* bytes of the sound of a response, which may be dropped later."""
        self._sounds.append(sound := _Sound(frame, response_id, size))
        self._put(sound, getsizeof(frame))

    def drop(self, response_id: str) -> int:
        """Drop the sound of a response that still waits, and return its bytes."""
        dropped = 0
        for sound in self._sounds:
            if sound.response_id == response_id and sound.frame is not None:
                dropped += sound.size
                self._bytes -= getsizeof(sound.frame)
                sound.frame = None
        self._taken.set()
        return dropped

    def _put(self, frame: str | _Sound | CloseMessage | None, size: int) -> None:
        self._bytes += size
        is_full = len(self._frames) >= MOST_WAITING_FRAMES
        if not is_full:
            self._frames.append(frame)
            if len(self._frames) == 1:
                self._filled.set()
        if self._bytes > self._memory.size + _GRAIN:
            is_full = not self._memory.take(self._bytes - self._memory.size) or is_full
        if is_full or (self._bytes > MOST_WAITING_BYTES and len(self._frames) > 1):
            self.has_overflowed = True
            abort(self._request)

    def close(self) -> None:
        """Give the memory back: the connection is over."""
        self._memory.resize(0)

    def ping(self) -> None:
        """Ping the client, unless frames wait, which are as good."""
        if not self.is_waiting:
            self._put(None, 0)

    async def pump(self, ws: web.WebSocketResponse) -> None:
        """Write queued frames, the close message last; nothing else writes to the socket."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if isinstance(frame, CloseMessage):
                    await frame.send(ws)
                    return
                if isinstance(frame, _Sound):
                    self._sounds.pop(0)
                    frame = frame.frame or ""
                if frame is None:
                    await ws.ping()
                elif frame:
                    await ws.send_str(frame)
                    self._bytes -= getsizeof(frame)
                if self._memory.size and self._bytes < _GRAIN:
                    self._memory.resize(0)
                if not self._taken.is_set:  # one call less for each word
                    self._taken.set()
            frame = None  # which an idle session would hold
            self._filled.clear()
            await self._filled.wait()


def abort(request: web.Request) -> None:
    """Cut the connection of *request* now, if it is not lost already."""
    if request.transport is not None:
        request.transport.abort()
