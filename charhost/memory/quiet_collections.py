"""Collections of old objects: a few new ones at a time, and all of them in quiet moments."""

import asyncio
import gc
import time
from collections.abc import Callable

from charhost.memory.collector import OLDEST, collect_everything, freeze_old
from charhost.memory.machine import resident_memory

# The interpreter's: a collection of the oldest objects after so many of the younger, each of them after 700 new ones.
_THRESHOLDS = 700, 1, 1


class QuietCollections:
    """Collects the garbage among old objects without a long pause. Lives as long as the application.

    The interpreter would look at all that clients have in the middle of their work, again and again. So it collects
    slices of a few thousand objects that have grown old since the last one. Those that are still in use are frozen, and
    looked at again in a quiet moment only, or when there are too many. *held* returns the bytes that are in use, and no
    garbage. While *is_busy*, only slices are collected.
    """

    _LOOK = 1.0  # seconds
    # A moment is quiet if the process has worked for so few seconds since the last look, and this one is not late: on a
    # busy machine a process works little because it has to wait.
    _QUIET, _LATE = 0.1, 0.05
    # Slices, of 2,800 objects each, after which everything is collected: in a quiet moment, and without one.
    _DUE, _MOST = 20, 560
    _GARBAGE = 20_000  # objects that may wait for a quiet moment
    _BYTES = 64 << 20  # of memory that nothing accounts for, and that may be of garbage: a few objects can hold much
    _EACH = 0.001  # seconds that it takes to look at a slice

    def __init__(self, held: Callable[[], int] = lambda: 0, is_busy: Callable[[], bool] = lambda: False) -> None:
        self._held, self._is_busy = held, is_busy
        self._loop = asyncio.get_running_loop()
        self._slices = 0
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*_THRESHOLDS)
        gc.freeze()
        gc.callbacks.extend((freeze_old, self._count))
        self._due, self._most = self._DUE, self._MOST
        self._worked = time.process_time()
        self._expected = self._loop.time()
        self._unaccounted = self._measure()
        self._look()

    def close(self) -> None:
        self._timer.cancel()
        gc.callbacks.remove(self._count)
        gc.callbacks.remove(freeze_old)
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()

    def _count(self, phase: str, info: dict[str, int]) -> None:
        self._slices += phase == "stop" and info["generation"] == OLDEST

    def _look(self) -> None:
        worked, is_late = time.process_time(), self._loop.time() > self._expected + self._LATE
        is_quiet = worked - self._worked <= self._QUIET and not is_late
        unaccounted = self._measure()
        self._unaccounted = min(self._unaccounted, unaccounted)
        is_due = self._slices >= self._due and is_quiet
        is_due |= self._slices >= self._most or unaccounted - self._unaccounted > self._may_wait
        if not gc.isenabled():  # many objects and no garbage are being made
            self._unaccounted = unaccounted
        elif is_due and not self._is_busy():
            self._collect()
            self._unaccounted = self._measure()
        self._worked, self._expected = worked, self._loop.time() + self._LOOK
        self._timer = self._loop.call_at(self._expected, self._look)

    def _collect(self) -> None:
        slices, started = self._slices, self._loop.time()
        garbage = collect_everything()
        self._slices = 0
        # The next one when as many objects are new as this one has looked at.
        self._due = self._within(int((self._loop.time() - started) / self._EACH))
        self._most = self._within(slices * self._GARBAGE // max(1, garbage))

    @property
    def _may_wait(self) -> int:
        """The bytes of garbage that may wait; an open session takes more than is accounted for, up to half as much."""
        return self._BYTES + self._held() // 2

    def _measure(self) -> int:
        return resident_memory() - self._held()

    def _within(self, slices: int) -> int:
        return min(self._MOST, max(self._DUE, slices))
