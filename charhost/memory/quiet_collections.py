"""Collections of old objects, in quiet moments."""

import asyncio
import gc
import time
from collections.abc import Callable

# The interpreter collects everything after so many collections of the younger objects: not at all.
_NEVER = 1 << 30


class QuietCollections:
    """Collects the garbage among old objects in quiet moments. Lives as long as the application.

    The interpreter would do so in the middle of the work of many clients, and each time look at all they have. What is
    there at the start, the modules of the server, is looked at no more. Nothing is collected while *is_busy* says so.
    """

    _LOOK = 1.0  # seconds
    # A moment is quiet if the process has worked for so few seconds since the last look, and this one is not late: on a
    # busy machine a process works little because it has to wait.
    _QUIET, _LATE = 0.1, 0.05
    # Collections of younger objects, each after 7,000 new ones: as many as the interpreter waits for, the most before
    # the share of garbage is known, and the most if there is hardly any.
    _DUE, _FIRST, _MOST = 10, 20, 100
    _GARBAGE = 20_000  # objects that may wait for a quiet moment
    _EACH = 0.002  # seconds that a collection takes for so many

    def __init__(self, is_busy: Callable[[], bool] = lambda: False) -> None:
        self._is_busy = is_busy
        self._loop = asyncio.get_running_loop()
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*self._thresholds[:2], _NEVER)
        gc.freeze()
        self._due, self._most = self._DUE, self._FIRST
        self._worked = time.process_time()
        self._expected = self._loop.time()
        self._look()

    def close(self) -> None:
        self._timer.cancel()
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()

    def _look(self) -> None:
        younger, worked = gc.get_count()[2], time.process_time()
        is_late = self._loop.time() > self._expected + self._LATE
        is_quiet = worked - self._worked <= self._QUIET and not is_late
        if not self._is_busy() and (younger >= self._most or (younger >= self._due and is_quiet)):
            self._collect(younger)
        self._worked, self._expected = worked, self._loop.time() + self._LOOK
        self._timer = self._loop.call_at(self._expected, self._look)

    def _collect(self, younger: int) -> None:
        started = self._loop.time()
        garbage = gc.collect()
        # The next one when as many objects are new as this one has looked at.
        self._due = self._within(int((self._loop.time() - started) / self._EACH))
        self._most = self._within(younger * self._GARBAGE // max(1, garbage))

    def _within(self, collections: int) -> int:
        return min(self._MOST, max(self._DUE, collections))
