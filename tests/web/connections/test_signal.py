"""A signal between the tasks of one client."""

from __future__ import annotations

import asyncio

from charhost.web.connections.signal import Signal


async def test_all_waiters_go_on() -> None:
    """Each task that waits goes on when the signal is set, also if it is cleared at once."""
    signal = Signal()
    waiting = [asyncio.create_task(signal.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    signal.set()
    signal.clear()
    await asyncio.wait_for(asyncio.gather(*waiting), 60)
    assert not signal.is_set


async def test_signal_that_is_set_is_not_waited_for() -> None:
    """A wait returns at once as long as the signal is set."""
    signal = Signal()
    signal.set()
    assert signal.is_set
    await asyncio.wait_for(signal.wait(), 60)


async def test_cancelled_waiter_is_forgotten() -> None:
    """A task that has given up is in the way of no other."""
    signal = Signal()
    one, other = (asyncio.create_task(signal.wait()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait([one])
    signal.set()
    await asyncio.wait_for(other, 60)
