"""Calls that come after some time for thousands of clients."""

from __future__ import annotations

import asyncio

from charhost.web.connections.ticks import Ticks


async def test_calls_come_in_the_order_of_their_ticks() -> None:
    """A call comes after its ticks, and one that was cancelled never."""
    ticks, called, over = Ticks(0.001), list[str](), asyncio.Event()
    ticks.after(3, over.set)
    ticks.after(2, lambda: called.append("second"))
    ticks.after(1, lambda: called.append("first"))
    ticks.after(1, lambda: called.append("never")).cancel()
    await asyncio.wait_for(over.wait(), 60)
    assert called == ["first", "second"]


async def test_many_calls_leave_turns_to_others() -> None:
    """Of many calls of one tick a few run in each turn of the event loop."""
    ticks, called = Ticks(0.001), 0
    turns = set[int]()

    def call() -> None:
        nonlocal called
        called += 1
        turns.add(turn)

    turn = 0
    for _ in range(100):
        ticks.after(1, call)
    async with asyncio.timeout(60):
        while called < 100:
            turn += 1
            await asyncio.sleep(0)
    assert len(turns) > 1


async def test_call_that_fails_keeps_no_other() -> None:
    """After a call that fails, those of the same tick and of later ones come all the same."""
    failures, ticks = list[object](), Ticks(0.001)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail() -> None:
        raise ZeroDivisionError

    same, later = asyncio.Event(), asyncio.Event()
    ticks.after(1, fail)
    ticks.after(1, same.set)
    ticks.after(2, later.set)
    await asyncio.wait_for(asyncio.gather(same.wait(), later.wait()), 60)
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
