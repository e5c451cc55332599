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


class Reader:
    """The frames that wait for one reader; *late* is called once if it lets too many wait, or memory has no room."""

    def __init__(self, late: Callable[[], None], memory: Holding) -> None:
        self._late = late
        self._memory = memory
        self._frames: list[bytes] = []
        self._wake = asyncio.Event()
        self._is_over = False

    async def read(self) -> bytes:
        """Return the frames that wait, as soon as there are any; nothing at the end of the feed."""
        await self._wake.wait()
        self._wake.clear()
        frames, self._frames = self._frames, []
        self._memory.resize(0)
        return b"".join(frames)

    def put(self, frame: bytes) -> None:
        if self._is_over:
            return
        is_over = self._memory.size + len(frame) > MOST_WAITING_BYTES and self._frames
        if is_over or not self._memory.take(getsizeof(frame)):
            self.end()
            self._late()
            return
        self._frames.append(frame)
        self._wake.set()

    def end(self) -> None:
        self._is_over = True
        self._frames.clear()
        self._memory.resize(0)
        self._wake.set()


class Feed:
    """Sends events to all readers, and keeps the last ones for readers that come back.

    The frames are server-sent events (WHATWG HTML, section 9.2). An id is the number of the event in this run.
    """

    def __init__(self, budget: MemoryBudget | None = None) -> None:
        self._budget = budget or MemoryBudget()
        self._run = secrets.token_hex(4)
        self._last = 0
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._states: dict[str, bytes] = {}  # the frame of each, which every reader has
        self._readers: set[Reader] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._readers)

    def publish(self, kind: str, content: Any) -> None:
        """Send an event, and keep it."""
        self._last += 1
        frame = b"id: %s-%d\n%b" % (self._run.encode(), self._last, _frame(kind, content))
        self._kept.append(frame)
        self._kept_bytes += len(frame)
        while self._kept_bytes > MOST_KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= len(self._kept.popleft())
        self._send(frame)

    def show(self, kind: str, content: Any) -> None:
        """Send a figure, of which only the latest counts: it is not kept."""
        if self._readers:
            self._send(_frame(kind, content))

    def show_changes(self, states: Mapping[str, Any]) -> None:
        """Send the states that have changed since the last call, and keep all for the readers that come."""
        for kind, content in states.items():
            frame = _frame(kind, content)
            if self._states.get(kind) != frame:
                self._states[kind] = frame
                self._send(frame)

    @contextmanager
    def reader(self, last_id: str, late: Callable[[], None]) -> Iterator[Reader]:
        """Add a reader, which gets the kept events since *last_id*, if that is of this run, and then the states."""
        reader = Reader(late, self._budget.holding("events"))
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

    def _after(self, last_id: str) -> list[bytes]:
        run, _, number = last_id.partition("-")
        if run != self._run or not (number.isascii() and number.isdigit()):
            return []
        missed = min(max(self._last - int(number[:18]), 0), len(self._kept))
        return list(self._kept)[len(self._kept) - missed :]

    def _send(self, frame: bytes) -> None:
        for reader in self._readers:
            reader.put(frame)


def _frame(kind: str, content: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encoded(content))
