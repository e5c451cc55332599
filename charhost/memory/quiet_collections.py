"""Collections of old objects: a few new ones at a time, and all of them in quiet moments."""

import asyncio
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from charhost.memory.collector import collect_everything, freeze_old, is_paused
from charhost.memory.machine import resident_memory

# The interpreter's: a collection of the oldest objects after so many of the younger, each of them after 700 new ones.
_THRESHOLDS = 700, 1, 1


@dataclass(frozen=True, slots=True)
class _Used:
    """What the process uses: *blocks* of small objects, and *bytes* of memory that nothing accounts for."""

    blocks: int
    bytes: int

    def least(self, other: "_Used") -> "_Used":
        return _Used(min(self.blocks, other.blocks), min(self.bytes, other.bytes))


class QuietCollections:
    """Collects the garbage among old objects without a long pause. Lives as long as the application.

    The interpreter would look at all that clients have in the middle of their work, again and again. So it collects
    slices of a few thousand objects that have grown old since the last one. Those that are still in use are frozen, and
    looked at again in a quiet moment only, or when the process has grown by what may be garbage. *held* returns the
    bytes that are in use, and no garbage. While *is_busy*, only slices are collected.
    """

    _LOOK = 1.0  # seconds
    # A moment is quiet if the process has worked for so few seconds since the last look, and this one is not late: on a
    # busy machine a process works little because it has to wait.
    _QUIET, _LATE = 0.1, 0.05
    # New blocks after which everything is collected in a quiet moment, beside a 16th of those in use, and twice as
    # many without one: so it takes a bounded part of the work that made them.
    _BLOCKS = 10_000
    _HELD_BLOCK = 64  # of so many bytes that are held, at least, one is a block
    _BYTES = 64 << 20  # of memory that nothing accounts for, and that may be of garbage: a few objects can hold much

    def __init__(self, held: Callable[[], int] = lambda: 0, is_busy: Callable[[], bool] = lambda: False) -> None:
        self._held, self._is_busy = held, is_busy
        self._loop = asyncio.get_running_loop()
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*_THRESHOLDS)
        gc.freeze()
        gc.callbacks.append(freeze_old)
        self._worked = time.process_time()
        self._expected = self._loop.time()
        self._before = _used(held())
        self._look()

    def close(self) -> None:
        self._timer.cancel()
        gc.callbacks.remove(freeze_old)
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()

    def _look(self) -> None:
        worked, is_late = time.process_time(), self._loop.time() > self._expected + self._LATE
        is_quiet = worked - self._worked <= self._QUIET and not is_late
        held = self._held()
        now = _used(held)
        self._before = self._before.least(now)
        is_due = not is_paused() and self._may_be_garbage(now, held, is_quiet=is_quiet)
        if is_due and not self._is_busy():
            collect_everything()
            self._before = _used(held)
        self._worked, self._expected = worked, self._loop.time() + self._LOOK
        self._timer = self._loop.call_at(self._expected, self._look)

    def _may_be_garbage(self, now: _Used, held: int, *, is_quiet: bool) -> bool:
        """Return whether the process has grown by more than what may wait."""
        blocks = self._BLOCKS + self._before.blocks // 16
        if not is_quiet:
            # An open session takes more than is accounted for, up to half as much.
            blocks = 2 * blocks + held // self._HELD_BLOCK
        return now.blocks - self._before.blocks > blocks or now.bytes - self._before.bytes > self._BYTES + held // 2


def _used(held: int) -> _Used:
    return _Used(sys.getallocatedblocks(), resident_memory() - held)
