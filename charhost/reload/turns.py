"""Work on many characters in several turns of the event loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence, Sized
from typing import TypeVar

T = TypeVar("T")

_MOST = 250


async def in_turns(items: Sequence[T]) -> AsyncIterator[T]:
    """Yield *items*, with a turn of the event loop after every few hundred, and after the last of so many."""
    for index, item in enumerate(items, 1):
        yield item
        if index % _MOST == 0 or index == len(items):
            await turn_after(items)


async def turn_after(items: Sized) -> None:
    """Give the event loop a turn after work on *items*, if they are more than a few hundred."""
    if len(items) > _MOST:
        await asyncio.sleep(0)
