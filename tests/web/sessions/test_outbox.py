"""The queue of frames to one client, and its limit."""

from __future__ import annotations

import asyncio

from charhost.web.sessions.outbox import MOST_WAITING_CHARACTERS, MOST_WAITING_FRAMES
from tests.web.sessions.parts import Line, session, turns


async def test_an_outbox_has_a_bound() -> None:
    """A client that does not read is cut off when its frames fill the queue, and not before."""
    line = Line()
    talk = session(line)
    for _ in range(MOST_WAITING_FRAMES):
        talk.send("frame")
    assert not line.aborted
    talk.send("one too many")
    assert (line.aborted, talk.closing.reason) == (True, "overflow")


async def test_an_outbox_has_a_bound_for_what_it_holds() -> None:
    """Long frames fill it before there are many; one alone is sent however long it is."""
    line = Line()
    talk = session(line)
    talk.send("x" * (MOST_WAITING_CHARACTERS + 1))
    assert not line.aborted
    talk.send("one too many")
    assert (line.aborted, talk.closing.reason) == (True, "overflow")


async def test_what_was_sent_weighs_nothing() -> None:
    """A client that takes its frames is never dropped, however much they come to."""
    line = Line()
    talk = session(line)
    pump = asyncio.create_task(talk.outbox.pump(talk.ws))
    for _ in range(4):
        talk.send("x" * (MOST_WAITING_CHARACTERS // 2))
        await turns()
        assert not talk.outbox.is_crowded
    assert not line.aborted
    pump.cancel()


async def test_a_few_long_frames_are_a_crowd() -> None:
    """A sender also waits for room when the queue has few but long frames."""
    talk = session(Line())
    talk.send("x" * (2 << 20))
    assert talk.outbox.is_crowded


async def test_a_sender_waits_for_room() -> None:
    """Beyond a quarter of the queue there is no room, until the client has taken most of it."""
    line = Line()
    talk = session(line)
    for _ in range(65):
        talk.send("frame")
    waiting = asyncio.create_task(talk.outbox.room())
    await turns()
    assert (talk.outbox.is_crowded, waiting.done()) == (True, False)
    pump = asyncio.create_task(talk.outbox.pump(talk.ws))
    await asyncio.wait_for(waiting, 60)
    assert not talk.outbox.is_crowded
    pump.cancel()


async def test_one_frame_less_is_not_room_yet() -> None:
    """A sender that is woken checks again whether there is room."""
    talk = session(Line())
    for _ in range(66):
        talk.send("frame")
    waiting = asyncio.create_task(talk.outbox.room())
    await turns()
    talk.outbox._taken.set()
    await turns()
    assert not waiting.done()
    waiting.cancel()


async def test_there_is_room_for_a_few() -> None:
    """No sender waits while the queue is at most a quarter full."""
    talk = session(Line())
    for _ in range(64):
        talk.send("frame")
    await asyncio.wait_for(talk.outbox.room(), 60)
    assert not talk.outbox.is_crowded
