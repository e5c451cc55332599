"""Run plugin code on daemon threads, each piece of it under a deadline.

The event loop's default executor will not do: its threads are joined at exit, so one file that never finishes
importing would hold up the shutdown, and thirty of them would use up the pool.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from charhost.errors import LoadTimeout

T = TypeVar("T")
Job = Callable[[], Any]

# A thread that has been busy with one job for this long blocks on something: another one goes on with the rest.
# One thread is the rule, because several only take the interpreter lock from the event loop and load no faster.
GROW_AFTER = 0.05
MOST_THREADS = 32

# Seconds after which a thread that runs Python code hands the interpreter lock to the event loop, if that waits for it.
# A pause (`time.sleep(0)`) would hand over the processor as well, for as long as other processes want it.
_SWITCH_INTERVAL = 0.001


class WorkerPool:
    """The threads that run plugin code, as long as the application lives; past a deadline they are interrupted."""

    def __init__(self) -> None:
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_INTERVAL))
        self._abandoned: list[_Worker] = []
        self._reaper: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def stuck(self) -> int:
        """How many threads are past their deadline and do not end: they are blocked outside Python code."""
        with self._lock:
            return sum(worker.is_alive() for worker in self._abandoned)

    async def run(self, job: Callable[[], T], deadline: float, *, interrupt: bool = True) -> T:
        """Run one job and return its result; raise its error, or `LoadTimeout` after *deadline* seconds.

        Without *interrupt* nothing is injected into it then: for code of charhost's own, which holds files open.
        """
        outcome: T | BaseException
        (outcome,) = await _Batch(self, [job], deadline, interrupt).outcomes()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def run_all(self, jobs: Sequence[Job], deadline: float) -> list[Any]:
        """Run *jobs* in order; an error of a job, such as `LoadTimeout`, is its result."""
        return await _Batch(self, jobs, deadline, True).outcomes()

    def abandon(self, worker: _Worker) -> None:
        """End a thread that is over its deadline, as soon as it runs Python code."""
        with self._lock:
            self._abandoned = [*self._abandoned, worker]
            if self._reaper is None or not self._reaper.is_alive():
                self._reaper = threading.Thread(target=self._reap, name="charhost-reaper", daemon=True)
                self._reaper.start()

    def _reap(self) -> None:
        # Again and again: a loop round `except BaseException` survives one exception, but not each of them.
        pause = 0.01
        while True:
            with self._lock:
                workers = self._abandoned = [worker for worker in self._abandoned if worker.is_alive()]
                if not workers:
                    self._reaper = None
                    return
            for worker in workers:
                worker.inject()
            time.sleep(pause)
            pause = min(1.0, pause * 1.2)


class _Batch:
    def __init__(self, pool: WorkerPool, jobs: Sequence[Job], deadline: float, interrupt: bool) -> None:
        self._pool = pool
        self._interrupt = interrupt
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._count = len(jobs)
        self.waiting = deque(enumerate(jobs))
        self._outcomes: dict[int, Any] = {}
        self._finished = asyncio.Event()
        self._workers: list[_Worker] = []

    async def outcomes(self) -> list[Any]:
        """Wait for all jobs; jobs that still run when the caller is cancelled are given up."""
        self._tick()
        try:
            if self._count:
                await self._finished.wait()
            return [self._outcomes[index] for index in range(self._count)]
        finally:
            self._tick_handle.cancel()
            self.waiting.clear()
            self._abandon(longer_than=0)

    def deliver(self, index: int, outcome: Any) -> None:
        """Accept an outcome; called by the workers. The event loop is woken once, by the last of them."""
        self._outcomes[index] = outcome
        if len(self._outcomes) == self._count:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._finished.set)

    def _tick(self) -> None:
        self._abandon(longer_than=self._deadline)
        self._workers = [worker for worker in self._workers if worker.is_alive() and not worker.abandoned]
        has_room = len(self._workers) < MOST_THREADS
        if self.waiting and has_room and all(w.busy_for() > GROW_AFTER for w in self._workers):
            self._workers.append(_Worker(self, self._interrupt))
            self._workers[-1].start()
        self._tick_handle = self._loop.call_later(GROW_AFTER / 2, self._tick)

    def _abandon(self, longer_than: float) -> None:
        for worker in self._workers:
            index = worker.abandon_if_running(longer_than)
            if index is not None:
                self._pool.abandon(worker)
                self.deliver(index, LoadTimeout(f"not finished after {self._deadline:g} s", worker.places()))


class _Worker(threading.Thread):
    def __init__(self, batch: _Batch, interrupt: bool) -> None:
        super().__init__(name="charhost-loader", daemon=True)
        self._batch = batch
        self._interrupt = interrupt
        self._guard = threading.Lock()
        self._job: int | None = None
        self._since = time.monotonic()
        self._finished = False
        self.abandoned = False

    def run(self) -> None:
        while not self._finished:
            with suppress(LoadTimeout):  # an injection that came when the job had just ended
                self._work()
                with self._guard:  # from here on nothing is injected: it would hit the threading module itself
                    self._finished = True

    def busy_for(self) -> float:
        return time.monotonic() - self._since

    def places(self) -> tuple[tuple[str, int], ...]:
        """Return the file name and line of each frame the thread is in, innermost first."""
        frame = sys._current_frames().get(self.ident or 0)
        return tuple((f.f_code.co_filename, line) for f, line in traceback.walk_stack(frame)) if frame else ()

    def abandon_if_running(self, longer_than: float) -> int | None:
        """Give the thread up if its job has lasted too long, and return the index of that job."""
        with self._guard:
            if self._job is None or self.busy_for() < longer_than:
                return None
            self.abandoned = True
            return self._job

    def inject(self) -> None:
        """Raise `LoadTimeout` in the thread, at its next step of Python code, if it may be interrupted."""
        with self._guard:
            if self._interrupt and not self._finished:
                thread = ctypes.c_ulong(self.ident or 0)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(LoadTimeout))

    def _work(self) -> None:
        while (job := self._take()) is not None:
            self._run(*job)

    def _take(self) -> tuple[int, Job] | None:
        # Under the guard: `abandon_if_running` sees each job that was taken.
        with self._guard, suppress(IndexError):
            if not self.abandoned:
                job = self._batch.waiting.popleft()
                self._job, self._since = job[0], time.monotonic()
                return job
        return None

    def _run(self, index: int, job: Job) -> None:
        try:
            outcome = job()
        except BaseException as e:
            outcome = e
        # Under the guard, a job is either delivered or over its deadline, never both; and an exception is only
        # injected into a thread that will not take another job.
        with self._guard:
            if not self.abandoned:
                self._job = None
                self._batch.deliver(index, outcome)
