"""Collections of old objects, in quiet moments."""

import asyncio
import gc

# The interpreter collects everything after so many collections of the younger objects: not at all.
_NEVER = 1 << 30


def collect_all() -> None:
    """Collect all garbage of the process, that among frozen objects too."""
    gc.unfreeze()
    gc.collect()


class QuietCollections:
    """Collects the garbage among old objects in quiet moments. Lives as long as the application.

    The interpreter would do so in the middle of the work of many clients, and each time look at all they have. What is
    there already is frozen, so it is looked at once in ten minutes only; it is freed as ever when its last reference
    goes.
    """

    _LOOK = 1.0  # seconds; a moment is quiet if nothing was collected in the last one
    _EVERYTHING = 600.0  # seconds
    # Collections of younger objects, each after 7,000 new ones: as many as the interpreter waits for, and the most.
    _DUE, _MOST = 10, 500

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*self._thresholds[:2], _NEVER)
        gc.freeze()
        self._collected_all = self._loop.time()
        self._younger = 0
        self._look()

    def spare(self) -> None:
        """Freeze what is there now, such as the characters that were loaded."""
        gc.freeze()

    def close(self) -> None:
        self._timer.cancel()
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()

    def _look(self) -> None:
        younger = gc.get_count()[2]
        if younger >= self._MOST or self._DUE <= younger == self._younger:
            self._collect()
            younger = 0
        self._younger = younger
        self._timer = self._loop.call_later(self._LOOK, self._look)

    def _collect(self) -> None:
        if self._loop.time() > self._collected_all + self._EVERYTHING:
            self._collected_all = self._loop.time()
            gc.unfreeze()
        gc.collect()
        gc.freeze()
