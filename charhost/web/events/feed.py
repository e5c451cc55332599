"""The feed of events, for the readers of `/v1/events`."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from sys import getsizeof
from typing import Any

from charhost.jsontext import encoded
from charhost.memory.budget import Holding, MemoryBudget

MOST_KEPT_BYTES = 4 << 20
MOST_WAITING_BYTES = 8 << 20


class _Frame:
    """One frame, whose memory counts once while it waits for readers, however many they are."""

    __slots__ = ("_memory", "_readers", "data")

    def __init__(self, data: bytes, memory: Holding) -> None:
        self.data = data
        self._memory = memory
        self._readers = 0

    def hold(self) -> bool:
        """Keep the frame for one more reader; return whether there is room."""
        if not self._readers and not self._memory.take(getsizeof(self.data)):
            return False
        self._readers += 1
        return True

    def release(self) -> None:
        self._readers -= 1
        if not self._readers:
            self._memory.resize(self._memory.size - getsizeof(self.data))


class Reader:
    """The frames that wait for one reader; *late* is called once if it lets too many wait, or memory has no room."""

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._frames: deque[_Frame] = deque()
        self._waiting = 0  # in bytes
        self._read: _Frame | None = None
        self._wake = asyncio.Event()
        self._is_over = False

    async def read(self) -> bytes:
        """Return the next frame, which is held until the next call; nothing at the end of the feed."""
        self._release_read()
        while not self._frames:
            if self._is_over:
                return b""
            self._wake.clear()
            await self._wake.wait()
        self._read = self._frames.popleft()
        self._waiting -= len(self._read.data)
        return self._read.data

    def put(self, frame: _Frame) -> None:
        if self._is_over:
            return
        size = len(frame.data)
        if (self._waiting + size > MOST_WAITING_BYTES and self._frames) or not frame.hold():
            self.end()
            self._late()
            return
        self._frames.append(frame)
        self._waiting += size
        self._wake.set()

    def end(self) -> None:
        self._is_over = True
        self._release_read()
        while self._frames:
            self._frames.pop().release()
        self._wake.set()

    def _release_read(self) -> None:
        frame, self._read = self._read, None
        if frame is not None:
            frame.release()


class Feed:
    """Sends events to all readers, and keeps the last ones for readers that come back.

    The frames are server-sent events (WHATWG HTML, section 9.2). An id is the number of the event in this run.
    """

    def __init__(self, budget: MemoryBudget | None = None) -> None:
        self._memory = (budget or MemoryBudget()).holding("events")
        self._run = secrets.token_hex(4)
        self._last = 0
        self._kept: deque[_Frame] = deque()
        self._kept_bytes = 0
        self._states: dict[str, _Frame] = {}  # the frame of each, which every reader has
        self._readers: set[Reader] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._readers)

    def publish(self, kind: str, content: Any) -> None:
        """Send an event, and keep it."""
        self._last += 1
        data = b"id: %s-%d\n%b" % (self._run.encode(), self._last, _event(kind, content))
        frame = _Frame(data, self._memory)
        self._kept.append(frame)
        self._kept_bytes += len(data)
        while self._kept_bytes > MOST_KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= len(self._kept.popleft().data)
        self._send(frame)

    def show(self, kind: str, content: Any) -> None:
        """Send a figure, of which only the latest counts: it is not kept."""
        if self._readers:
            self._send(_Frame(_event(kind, content), self._memory))

    def show_changes(self, states: Mapping[str, Any]) -> None:
        """Send the states that have changed since the last call, and keep all for the readers that come."""
        for kind, content in states.items():
            data, shown = _event(kind, content), self._states.get(kind)
            if shown is None or shown.data != data:
                frame = self._states[kind] = _Frame(data, self._memory)
                self._send(frame)

    @contextmanager
    def reader(self, last_id: str, late: Callable[[], None]) -> Iterator[Reader]:
        """Add a reader, which gets the kept events since *last_id*, if that is of this run, and then the states."""
        reader = Reader(late)
        for frame in (*self._after(last_id), *self._states.values()):
            reader.put(frame)
        if self._is_closed:  # a shutdown began meanwhile
            reader.end()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            reader.end()

    def close(self) -> None:
        """End all readers, also those that come later."""
        self._is_closed = True
        for reader in self._readers:
            reader.end()

    def _after(self, last_id: str) -> list[_Frame]:
        run, _, number = last_id.partition("-")
        if run != self._run or not (number.isascii() and number.isdigit()):
            return []
        missed = min(max(self._last - int(number[:18]), 0), len(self._kept))
        return list(self._kept)[len(self._kept) - missed :]

    def _send(self, frame: _Frame) -> None:
        for reader in self._readers:
            reader.put(frame)


def _event(kind: str, content: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encoded(content))
