"""Run plugin code on daemon threads, each piece of it under a deadline.

The event loop's default executor will not do: its threads are joined at exit, so one file that never finishes
importing would hold up the shutdown, and thirty of them would use up the pool.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from charhost.errors import ThreadsExhausted
from charhost.threads.batch import Batch
from charhost.threads.calls import Calls
from charhost.threads.job_queue import PATIENCE
from charhost.threads.warm_threads import WarmThreads
from charhost.threads.worker import Job, Worker

T = TypeVar("T")

# Threads that run a job, or are stuck in one. While all of them run, a job waits; it is refused once all are stuck.
MOST_OF_OWNER, MOST_IN_ALL = 8, 64

# Seconds after which a thread that runs Python code hands the interpreter lock to the event loop, if that waits for it.
# A pause (`time.sleep(0)`) would hand over the processor as well, for as long as other processes want it.
_SWITCH_INTERVAL = 0.001


class WorkerPool:
    """The threads that run plugin code, as long as the application lives; past a deadline they are interrupted.

    The owner of a job is the code that it runs, such as one version of a character; each has a few of the threads.
    """

    def __init__(self) -> None:
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_INTERVAL))
        self._working: set[Worker] = set()
        self._abandoned: list[Worker] = []
        self._calls: dict[tuple[str, float, bool], Calls] = {}
        self._reaper: threading.Thread | None = None
        self.threads = WarmThreads()
        self._lock = threading.Lock()

    @property
    def stuck(self) -> int:
        """How many threads are past their deadline and do not end: they are blocked outside Python code."""
        with self._lock:
            return len(_late(self._abandoned))

    def has_room(self, owner: str) -> bool:
        """Return whether one more thread would begin a job of *owner*, or refuse it."""
        with self._lock:
            if self._are_few:
                return True
            threads = self._threads()
            of_owner = [one for one in threads if owner and one.owner == owner]
            is_refused = len(_late(threads)) >= MOST_IN_ALL or len(_late(of_owner)) >= MOST_OF_OWNER
            return is_refused or (len(threads) < MOST_IN_ALL and len(of_owner) < MOST_OF_OWNER)

    async def run(self, job: Callable[[], T], deadline: float, owner: str = "", *, interrupt: bool = True) -> T:
        """Run one job and return its result; raise its error, or `LoadTimeout` after *deadline* seconds.

        Without *interrupt* nothing is injected into it then: for code of charhost's own, which holds files open.
        """
        key = owner, deadline, interrupt
        calls = self._calls.get(key)
        if calls is None:
            calls = self._calls[key] = Calls(self, owner, deadline, interrupt)
        try:
            outcomes = [await calls.outcome(job)]
        finally:
            if calls.are_over:
                self._calls.pop(key, None)
        if isinstance(outcomes[0], BaseException):
            raise outcomes.pop()  # no variable: an error has this frame, and would hold all that its callers hold
        return cast(T, outcomes[0])

    async def run_all(self, jobs: Sequence[Job], deadline: float, owners: Sequence[str] = ()) -> list[Any]:
        """Run *jobs* of *owners* in order; an error of a job, such as `LoadTimeout`, is its result."""
        return await Batch(self, jobs, owners or [""] * len(jobs), deadline, True).outcomes()

    def admit(self, worker: Worker, owner: str) -> bool:
        """Return whether a thread may begin a job of *owner* now; raise `ThreadsExhausted` if no other may either."""
        with self._lock:
            if self._are_few:
                worker.owner = owner
                self._working.add(worker)
                return True
            threads = self._threads()
            of_owner = [one for one in threads if one.owner == owner] if owner else []
            if len(late := _late(of_owner)) >= MOST_OF_OWNER:
                raise ThreadsExhausted(f"not run: {len(late)} earlier calls {_ENDLESS}", late[0].places())
            if len(late := _late(threads)) >= MOST_IN_ALL:
                raise ThreadsExhausted(f"not run: {len(late)} calls of other code {_ENDLESS}")
            has_room = len(threads) < MOST_IN_ALL and len(of_owner) < MOST_OF_OWNER
            if has_room:
                worker.owner = owner
                self._working.add(worker)
            return has_room

    def release(self, worker: Worker) -> None:
        """Note that a thread has ended its job."""
        with self._lock:
            self._working.discard(worker)

    def abandon(self, worker: Worker) -> None:
        """End a thread that is over its deadline, as soon as it runs Python code."""
        with self._lock:
            self._working.discard(worker)
            self._abandoned = [*self._abandoned, worker]
        self._start_reaper()

    @property
    def _are_few(self) -> bool:
        """Whether all threads together are fewer than one owner may have."""
        return len(self._working) + len(self._abandoned) < MOST_OF_OWNER

    def _threads(self) -> list[Worker]:
        """Return the threads that run a job, or do not end after one."""
        return [*self._working, *(worker for worker in self._abandoned if worker.is_alive())]

    def _start_reaper(self) -> None:
        with self._lock:
            if self._abandoned and (self._reaper is None or not self._reaper.is_alive()):
                self._reaper = threading.Thread(target=self._reap, name="charhost-reaper", daemon=True)
                try:
                    self._reaper.start()
                except RuntimeError:  # no more threads can be started now
                    asyncio.get_running_loop().call_later(PATIENCE, self._start_reaper)

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


_ENDLESS = "have not ended since their deadlines: mend what blocks them, and restart the server"


def _late(workers: Iterable[Worker]) -> list[Worker]:
    # A job whose caller has gone may go on until its deadline.
    return [worker for worker in workers if worker.busy_for() > worker.deadline and worker.is_alive()]
