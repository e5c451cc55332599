"""Calls of functions of character files."""

from __future__ import annotations

import asyncio

import pytest

from charhost.character.calls import called


async def _doubled(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def _waiting() -> None:
    await asyncio.Event().wait()


def test_result_of_a_function_is_returned() -> None:
    """A plain function is called with the arguments."""
    assert called(max, 2, 3, deadline=60) == 3


def test_coroutine_is_awaited() -> None:
    """The result of an `async` function is its own, not a coroutine."""
    assert called(_doubled, 4, deadline=60) == 8


def test_coroutine_ends_after_the_deadline() -> None:
    """A second after the deadline a coroutine that waits for ever is cancelled."""
    with pytest.raises(TimeoutError):
        called(_waiting, deadline=-1)
