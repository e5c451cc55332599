"""Calls of functions of character files."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


def called(function: Callable[..., Any], *arguments: Any, deadline: float) -> Any:
    """Return the result of a function, also of one that is `async`; to be run on a thread, under that *deadline*."""
    value = function(*arguments)
    if inspect.isawaitable(value):  # in an event loop of its own, so that it cannot block the server's
        return asyncio.run(_awaited(value, deadline))
    return value


async def _awaited(value: Any, deadline: float) -> Any:
    # Nothing can be injected into a thread whose event loop sleeps; a little later it has to end by itself.
    async with asyncio.timeout(deadline + 1):
        return await value
