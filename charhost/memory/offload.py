"""Work on much data, beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from charhost.memory.collector import collector_paused

Result = TypeVar("Result")

# In bytes; a thread takes longer to hand over less.
LARGE = 64 << 10

# One: of two, which share the interpreter lock, each would take as much from the event loop.
_THREAD = ThreadPoolExecutor(1, "offload")


async def offload(size: int, work: Callable[[], Result]) -> Result:
    """Return the result of *work* on *size* bytes: if they are many, a thread does it while the event loop goes on.

    The data must not change meanwhile.
    """
    if size < LARGE or not _has_thread():
        return work()
    working = asyncio.get_running_loop().run_in_executor(_THREAD, _done, work)
    try:
        return await working
    finally:
        del working  # an error has this frame, and would be held by what it holds


def _has_thread() -> bool:
    """Return whether the thread runs, started by a job that holds nothing: without a thread jobs stay queued."""
    try:
        _THREAD.submit(int)
    except RuntimeError:  # the system gives no more threads
        return False
    return True


def _done(work: Callable[[], Result]) -> Result:
    with collector_paused():
        return work()
