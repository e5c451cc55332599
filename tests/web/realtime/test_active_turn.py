"""The turn of a session that is running."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from charhost.web.realtime.active_turn import ActiveTurn

if TYPE_CHECKING:
    from charhost.web.sessions.work import RunningTurn


def turn() -> RunningTurn:
    """Return a turn of which nothing is used."""
    return cast("RunningTurn", object())


async def test_end_is_waited_for() -> None:
    """The end of a turn wakes all that wait for it, and not the end of another one."""
    active, first, other = ActiveTurn(), turn(), turn()
    active.begin(first)
    waiting = [asyncio.create_task(active.ended(first)), asyncio.create_task(active.free())]
    active.end(other)
    await asyncio.sleep(0)
    assert (active.turn, [task.done() for task in waiting]) == (first, [False, False])
    active.end(first)
    await asyncio.gather(*waiting)
    assert active.turn is None


async def test_next_turn_is_waited_for() -> None:
    """A turn that begins before those that wait are woken is waited for as well."""
    active, first, following = ActiveTurn(), turn(), turn()
    active.begin(first)
    ended, free = asyncio.create_task(active.ended(first)), asyncio.create_task(active.free())
    await asyncio.sleep(0)
    active.end(first)
    active.begin(following)
    await ended
    await asyncio.sleep(0)
    assert not free.done()
    active.end(following)
    await free


async def test_free_place_is_not_waited_for() -> None:
    """A turn that is not running has ended."""
    active = ActiveTurn()
    await active.free()
    await active.ended(turn())
