"""Messages on their way: how much of them has come, and which are too late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from charhost.memory.budget import MemoryBudget
from charhost.web.sessions import incoming
from charhost.web.sessions.incoming import MESSAGE_DEADLINE, IncomingMessages
from tests.clock import Clock
from tests.e2e.websocket_frames import CONTINUATION, PING, PONG, TEXT, frame, head

MEGABYTE = 1 << 20


class Protocol(asyncio.Protocol):
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data


class Transport:
    """A transport that knows its protocol."""

    def __init__(self) -> None:
        self.protocol: Any = Protocol()

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


class Wire:
    """The messages of one client, with a budget, a clock and the refusals."""

    def __init__(self, size: int, clock: Clock) -> None:
        self.budget = MemoryBudget(size)
        self.refusals: list[bool] = []
        self.clock = clock
        transport: Any = Transport()
        self.received = transport.protocol
        memory = self.budget.holding("incoming")
        self.floods: list[bool] = []
        refuse, flooded = partial(self.refusals.append, True), partial(self.floods.append, True)
        self.messages = IncomingMessages(transport, memory, refuse, flooded=flooded)
        self.send: Callable[[bytes], None] = transport.protocol.data_received

    def late(self, seconds: float, *, is_read: bool = True) -> bool:
        """Return whether a message is late so many seconds after the start."""
        self.clock.now = seconds
        return self.messages.is_late(is_read)


@pytest.fixture
async def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """A client with a budget of four megabytes."""
    clock = Clock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
    return Wire(4 * MEGABYTE, clock)


def test_deadline() -> None:
    """A message has a minute, as a body has."""
    assert MESSAGE_DEADLINE == 60


async def test_unfinished_message_is_late_however_it_trickles(wire: Wire) -> None:
    """Bytes and pongs do not give an unfinished message more time."""
    wire.send(head(TEXT, 1_000))
    for second in range(60):
        wire.clock.now = second
        wire.send(b"x")
    assert (wire.late(60), wire.late(61)) == (False, True)


async def test_fragments_are_one_message(wire: Wire) -> None:
    """Fragments with pongs between them are one message, which is late together."""
    wire.send(frame(TEXT, b"x", final=False))
    for second in range(60):
        wire.clock.now = second
        wire.send(frame(PONG) + frame(CONTINUATION, b"x", final=False))
    assert wire.late(61)


async def test_delivered_message_is_not_late(wire: Wire) -> None:
    """A message that was delivered, and silence after it, is no matter how old."""
    wire.send(frame(TEXT, b"{}"))
    wire.messages.delivered()
    wire.send(frame(PING, b"?"))
    assert not wire.late(1_000)


async def test_complete_message_that_is_not_read_yet_is_not_late(wire: Wire) -> None:
    """A message waits as long as the server reads no message of its client; one that is never delivered is late."""
    wire.send(frame(TEXT, b"{}"))
    assert (wire.late(61, is_read=False), wire.late(61)) == (False, True)


async def test_bytes_under_way_are_held(wire: Wire) -> None:
    """What has come of a message counts until it is delivered."""
    wire.send(head(TEXT, 3 * MEGABYTE) + bytes(2 * MEGABYTE))
    assert wire.budget.in_use == 2 * MEGABYTE
    wire.send(bytes(MEGABYTE))
    assert wire.budget.in_use == 3 * MEGABYTE
    wire.messages.delivered()
    assert (wire.budget.in_use, wire.refusals) == (0, [])


async def test_message_without_room_is_refused(wire: Wire) -> None:
    """A message for which the budget has no room is refused while it comes."""
    wire.send(head(TEXT, 23 * MEGABYTE) + bytes(4 * MEGABYTE))
    assert wire.refusals == []
    wire.send(bytes(MEGABYTE))
    assert wire.refusals == [True]
    wire.messages.close()
    assert wire.budget.in_use == 0


async def test_frames_are_followed_however_they_are_cut(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pieces in which frames come make no difference, and the protocol has all of them."""
    monkeypatch.setattr(incoming, "_GRAIN", 0)
    chance = random.Random(1)
    sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] * 3
    stream = b"".join(frame(TEXT, bytes(size)) + frame(PONG, b"x" * (size % 100)) for size in sizes)
    rest = stream
    while rest:
        cut = chance.choice([1, 2, 3, 13, 14, 15, 1_000, 100_000])
        wire.send(rest[:cut])
        rest = rest[cut:]
    assert wire.budget.in_use == sum(sizes)
    for _ in sizes:
        wire.messages.delivered()
    assert (wire.budget.in_use, wire.late(1_000), wire.received.received == stream) == (0, False, True)


@pytest.mark.parametrize(
    "empty",
    [frame(PONG), frame(PING, b"x" * 125), frame(CONTINUATION, final=False), frame(CONTINUATION, b"x", final=False)],
)
async def test_flood_of_empty_frames_is_cut_off(wire: Wire, empty: bytes) -> None:
    """Of frames without content a client may send a few hundred in a second; after more nothing of it is received."""
    for second in range(3):
        wire.clock.now = second
        wire.send(frame(TEXT, b"x" * 64, final=False) + 500 * empty)
    received = len(wire.received.received)
    assert (wire.floods, received) == ([], 3 * len(frame(TEXT, bytes(64)) + 500 * empty))
    wire.send(40_000 * empty)
    wire.send(frame(TEXT, b"x"))
    assert (wire.floods, len(wire.received.received)) == ([True], received)
