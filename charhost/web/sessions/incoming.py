"""The WebSocket messages that are on their way from one client."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from charhost.memory.budget import Holding

# Seconds in which a message has to be complete, however it trickles.
MESSAGE_DEADLINE = 60.0
_GRAIN = 64 << 10
# Frames of a second that bring nothing nearer: control frames, and short parts of messages. Each costs as much as a
# message, and there is room for forty thousand in what is read at once.
_MOST_EMPTY = 500
_SHORT = 64
_FIRST_CONTROL_OPCODE = 8
_FINAL = 0x80
_MASKED = 0x80


@dataclass(eq=False, slots=True)
class _Message:
    began: float
    is_complete: bool = False
    size: int = 0


class IncomingMessages(asyncio.Protocol):
    """Stands between a transport and its protocol, and follows the frames that pass (RFC 6455, section 5.2).

    aiohttp shows a message when it is complete only. A client that makes this lose its place, by frames before the end
    of the handshake, has messages here that are never delivered, and so is too late. *lose* calls what it is given, now
    or later, when the connection is lost. *flooded* is called for a client that sends too many frames without content,
    of which nothing is received any more.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        memory: Holding,
        refuse: Callable[[], None],
        lose: Callable[[Callable[[], None]], None] = lambda call: call(),
        flooded: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._memory = memory
        self._refuse = refuse
        self._lose = lose
        self._flooded = flooded
        self._empty = 0  # frames without content, in the second that `_second` began
        self._second = 0.0
        self._messages: deque[_Message] | None = None  # until the first
        self._size = 0
        self._head = b""
        self._left = 0  # bytes of the frame that is being received
        self._is_final = self._is_data = False
        protocol = transport.get_protocol()
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol
        transport.set_protocol(self)

    def delivered(self) -> None:
        """Take note that the oldest message was delivered."""
        if self._messages:
            self._size -= self._messages.popleft().size
            if self._memory.size > self._size + _GRAIN:
                self._memory.resize(self._size)

    def is_late(self, is_read: bool) -> bool:
        """Return whether the oldest message takes too long; a complete one only if messages are being read."""
        oldest = self._messages[0] if self._messages else None
        is_judged = oldest is not None and (is_read or not oldest.is_complete)
        return oldest is not None and is_judged and self._loop.time() - oldest.began > MESSAGE_DEADLINE

    def close(self) -> None:
        self._memory.resize(0)

    def data_received(self, data: bytes) -> None:
        if self._empty > _MOST_EMPTY:
            return
        if self._loop.time() >= self._second + 1:
            self._second, self._empty = self._loop.time(), 0
        self._follow(data)
        if self._empty > _MOST_EMPTY:
            self._flooded()
        else:
            self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(partial(self._protocol.connection_lost, exc))

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def _follow(self, data: bytes) -> None:
        position = 0
        while position < len(data) and self._empty <= _MOST_EMPTY:
            if self._left:
                step = min(self._left, len(data) - position)
                self._take(step)
                position += step
            else:
                position += self._read_head(data[position : position + 14])
        if self._size > self._memory.size + _GRAIN and not self._memory.take(self._size - self._memory.size):
            self._refuse()

    def _read_head(self, data: bytes) -> int:
        """Read as much of a head as *data* has, and return the number of bytes."""
        before, self._head = len(self._head), self._head + data
        length = _head_length(self._head)
        if len(self._head) < length:
            return len(data)
        head, self._head = self._head[:length], b""
        self._begin(head)
        return length - before

    def _begin(self, head: bytes) -> None:
        self._is_data = head[0] & 0xF < _FIRST_CONTROL_OPCODE
        self._is_final = bool(head[0] & _FINAL)
        self._left = _payload_length(head)
        if not self._is_data or (not self._is_final and self._left < _SHORT):
            self._empty += 1
        if self._is_data and (not self._messages or self._messages[-1].is_complete):
            self._messages = deque() if self._messages is None else self._messages
            self._messages.append(_Message(self._loop.time()))
        self._take(0)

    def _take(self, size: int) -> None:
        self._left -= size
        if self._is_data and self._messages:
            self._size += size
            self._messages[-1].size += size
            self._messages[-1].is_complete = self._is_final and not self._left


def _head_length(head: bytes) -> int:
    if len(head) < 2:
        return 2
    return 2 + {126: 2, 127: 8}.get(head[1] & 0x7F, 0) + (4 if head[1] & _MASKED else 0)


def _payload_length(head: bytes) -> int:
    short = head[1] & 0x7F
    return short if short < 126 else int.from_bytes(head[2 : 4 if short == 126 else 10], "big")
