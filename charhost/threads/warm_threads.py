"""Threads that stay for a moment after their work, for more work of the same owner."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue

# Returns whether its thread can be used again.
Work = Callable[[], bool]

# The event loop stands still while a thread starts: on a busy machine for milliseconds.
IDLE_SECONDS = 1.0
_MOST_IDLE = 8


class WarmThreads:
    """Runs work on daemon threads, none of which two owners share; of those of the owner "" none is used twice.

    Work of the server itself has no owner, and leaves a thread as it was: any owner may have it next.
    """

    def __init__(self) -> None:
        self._idle: deque[_Thread] = deque()
        self._lock = threading.Lock()

    def run(self, work: Work, owner: str | None) -> None:
        """Begin *work*; raise `RuntimeError` if no thread can be started."""
        with self._lock:
            idle = next((thread for thread in reversed(self._idle) if thread.owner in (owner, None)), None)
            if idle is not None:
                self._idle.remove(idle)
        if idle is None:
            _Thread(self, owner, work).start()
        else:
            idle.owner = owner
            idle.given.put(work)

    def keep(self, thread: _Thread) -> bool:
        """Return whether an idle thread is kept."""
        with self._lock:
            if thread.owner == "" or len(self._idle) >= _MOST_IDLE:
                return False
            self._idle.append(thread)
            return True

    def drop(self, thread: _Thread) -> bool:
        """Give up a thread that is idle still, and return whether it was."""
        with self._lock:
            if thread not in self._idle:
                return False
            self._idle.remove(thread)
            return True


class _Thread(threading.Thread):
    def __init__(self, threads: WarmThreads, owner: str | None, work: Work) -> None:
        super().__init__(name="charhost-loader", daemon=True)
        self.owner = owner
        self.given: SimpleQueue[Work] = SimpleQueue()
        self.given.put(work)
        self._threads = threads

    def run(self) -> None:
        while (work := self._next()) is not None:
            is_usable = work()
            del work  # it holds all that its caller does
            if not (is_usable and self._threads.keep(self)):
                return

    def _next(self) -> Work | None:
        try:
            return self.given.get(timeout=IDLE_SECONDS)
        except Empty:
            return None if self._threads.drop(self) else self.given.get()  # it is given some in this moment
