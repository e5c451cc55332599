"""The work of one batch of plugin code on one thread, which can be given up."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Any, Protocol

from charhost.errors import LoadTimeout

Job = Callable[[], Any]

_TRACERS: tuple[tuple[Callable[[], Any], Callable[[Any], None]], ...] = (
    (sys.gettrace, sys.settrace),
    (sys.getprofile, sys.setprofile),
)


class Jobs(Protocol):
    """The jobs of a batch; its methods are called on the threads."""

    def take(self, worker: Worker) -> tuple[int, Job] | None: ...

    def finish(self, worker: Worker, index: int, outcome: Any) -> None: ...


class Worker:
    """Runs jobs of a batch, one after the other; one that was given up runs no more, and is interrupted."""

    def __init__(self, jobs: Jobs, deadline: float, interrupt: bool) -> None:
        self.owner = ""
        self._thread = 0
        self._has_ended = False
        self._jobs = jobs
        self.deadline = deadline
        self._interrupt = interrupt
        self._guard = threading.Lock()
        self._job: int | None = None
        self._since = time.monotonic()
        self._finished = self.abandoned = False

    def run(self) -> bool:
        """Run jobs of the batch; return whether the thread can be used again."""
        self._thread = threading.get_ident()
        try:
            while not self._finished:
                with suppress(LoadTimeout):  # an injection that came when the job had just ended
                    self._work()
                    with self._guard:  # from here on nothing is injected: it would hit the threading module itself
                        self._finished = True
        finally:
            self._has_ended = True
        return not self.abandoned

    def is_alive(self) -> bool:
        return not self._has_ended

    def busy_for(self) -> float:
        return time.monotonic() - self._since

    def places(self) -> tuple[tuple[str, int], ...]:
        """Return the file name and line of each frame the thread is in, innermost first."""
        frame = sys._current_frames().get(self._thread)
        return tuple((f.f_code.co_filename, line) for f, line in traceback.walk_stack(frame)) if frame else ()

    def abandon_if_running(self, longer_than: float, only: int | None = None) -> int | None:
        """Give the thread up if its job has lasted too long, and return the index of that job.

        With *only* that job is meant, and no other.
        """
        with self._guard:
            if self._job is None or self.busy_for() < longer_than or only not in (None, self._job):
                return None
            self.abandoned = True
            return self._job

    def inject(self) -> None:
        """Raise `LoadTimeout` in the thread, at its next step of Python code, if it may be interrupted."""
        with self._guard:
            if self._interrupt and not self._finished:
                thread = ctypes.c_ulong(self._thread)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(LoadTimeout))

    def _work(self) -> None:
        while (job := self._take()) is not None:
            self._run(*job)

    def _take(self) -> tuple[int, Job] | None:
        # Under the guard: `abandon_if_running` sees each job that was taken.
        with self._guard, suppress(IndexError):
            if not self.abandoned and (job := self._jobs.take(self)) is not None:
                self._job, self._since = job[0], time.monotonic()
                return job
        return None

    def _run(self, index: int, job: Job) -> None:
        earlier = [get() for get, _ in _TRACERS]
        try:
            outcome = Context().run(job)  # of its own: another conversation of the same thread has nothing of it
        except BaseException as e:
            outcome = e
        # Those of a job would run in the work between jobs, and what they raise would leave it undone.
        for (get, install), before in zip(_TRACERS, earlier, strict=True):
            try:
                while get() is not before:
                    with suppress(RuntimeError):  # another thread installs one in this moment
                        install(before)
            except BaseException as e:  # of the one that is taken off, which is told of these calls and has gone by now
                outcome = e
        # Under the guard, a job is either delivered or over its deadline, never both; and an exception is only
        # injected into a thread that will not take another job.
        with self._guard:
            if self.abandoned:  # the job and its outcome may have finalizers, which must not be interrupted
                self._finished = True
            else:
                self._job = None
                self._jobs.finish(self, index, outcome)
        del outcome  # an error has this frame
