"""Work on much data, beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from charhost.memory.collector import collector_paused

Result = TypeVar("Result")

# In bytes; a thread takes longer to hand over less.
LARGE = 64 << 10


class Offload:
    """The thread for work on much data, begun with the first of it. Lives as long as the application.

    There is one: of two, which share the interpreter lock, each would take as much from the event loop.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "offload")

    async def run(self, size: int, work: Callable[[], Result]) -> Result:
        """Return the result of *work* on *size* bytes: if they are many, it is done while the event loop goes on.

        The data must not change meanwhile.
        """
        if size < LARGE or not self._has_thread():
            return work()
        working = asyncio.get_running_loop().run_in_executor(self._thread, _done, work)
        try:
            return await working
        finally:
            del working  # an error has this frame, and would be held by what it holds

    def close(self) -> None:
        """End the thread after the work that it has; what comes later is done at once."""
        self._thread.shutdown(wait=False)

    def _has_thread(self) -> bool:
        """Return whether the thread runs, started by a job that holds nothing: without a thread jobs stay queued."""
        try:
            self._thread.submit(int)
        except RuntimeError:  # the system gives no more threads, or this is closed
            return False
        return True


def _done(work: Callable[[], Result]) -> Result:
    with collector_paused():
        return work()
