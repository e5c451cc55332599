"""Waiting for hints."""

import asyncio

from charhost.fleet.hints import Hints


async def test_a_hint_wakes_all_waiters() -> None:
    """Several waiters of one hint all return, with the same count."""
    hints = Hints()
    waiting = [asyncio.create_task(hints.wait(0, 30)) for _ in range(3)]
    await asyncio.sleep(0)
    hints.notify()
    assert await asyncio.gather(*waiting) == [1, 1, 1]


async def test_a_hint_before_the_wait_is_not_lost() -> None:
    """A hint since the count that the waiter saw lets it return at once."""
    hints = Hints()
    hints.notify()
    assert await hints.wait(0, 30) == 1


async def test_the_wait_ends_without_a_hint() -> None:
    """A waiter returns what it saw when its time is over."""
    assert await Hints().wait(0, 0.01) == 0
