"""The queue of frames to one client, and its limit."""

from __future__ import annotations

import asyncio

from charhost.memory.budget import MemoryBudget
from charhost.web.sessions.outbox import MOST_WAITING_BYTES, MOST_WAITING_FRAMES, Outbox
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
    talk.send("x" * (MOST_WAITING_BYTES + 1))
    assert not line.aborted
    talk.send("one too many")
    assert (line.aborted, talk.closing.reason) == (True, "overflow")


async def test_what_was_sent_weighs_nothing() -> None:
    """A client that takes its frames is never dropped, however much they come to."""
    line = Line()
    talk = session(line)
    pump = asyncio.create_task(talk.outbox.pump(talk.ws))
    for _ in range(4):
        talk.send("x" * (MOST_WAITING_BYTES // 2))
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


async def test_frames_count_with_the_bytes_they_take() -> None:
    """One emoji among letters makes each of them take four bytes."""
    line = Line()
    talk = session(line)
    for _ in range(2):
        talk.send("x" * (MOST_WAITING_BYTES // 8) + "\N{GRINNING FACE}")
    assert (line.aborted, talk.outbox.is_crowded) == (True, True)


async def test_frames_without_room_in_the_budget_end_the_session() -> None:
    """A client that lets frames wait while the budget of memory is used up is cut."""
    line, budget = Line(), MemoryBudget(1 << 20)
    outbox = Outbox(line, budget.holding("outboxes"))  # type: ignore[arg-type]
    for _ in range(9):
        outbox.put("x" * 100_000)
    assert (line.aborted, budget.in_use > 500_000) == (False, True)
    for _ in range(3):
        outbox.put("x" * 100_000)
    assert (line.aborted, outbox.has_overflowed, budget.in_use <= 1 << 20) == (True, True, True)
    outbox.close()
    assert budget.in_use == 0


async def test_few_words_do_not_ask_the_budget() -> None:
    """A response whose words are taken changes nothing in the budget."""
    line, budget = Line(), MemoryBudget(1)
    outbox = Outbox(line, budget.holding("outboxes"))  # type: ignore[arg-type]
    pump = asyncio.create_task(outbox.pump(line))  # type: ignore[arg-type]
    for _ in range(2_000):
        outbox.put("x" * 200)
        await outbox.room()
    assert (budget.in_use, line.aborted) == (0, False)
    pump.cancel()
