"""Work on many characters in several turns of the event loop."""

from __future__ import annotations

import asyncio

import pytest

from charhost.reload.turns import in_turns

pytestmark = pytest.mark.of_default_set


@pytest.mark.parametrize(("count", "turns"), [(250, 0), (251, 2), (501, 3)])
async def test_others_have_a_turn_after_some_items(count: int, turns: int) -> None:
    """All items come in their order, with a turn of the event loop after every 250 and after the last of more."""
    seen = 0

    async def work() -> list[int]:
        return [item async for item in in_turns(range(count))]

    working = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    while not working.done():
        seen += 1
        await asyncio.sleep(0)
    assert (working.result(), seen) == ([*range(count)], turns)
