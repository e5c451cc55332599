"""Jobs that wait for a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol

from charhost.errors import LoadTimeout, ThreadsExhausted
from charhost.threads.warm_threads import WarmThreads
from charhost.threads.worker import Job, Worker

# A thread that has been busy with one job for this long blocks on something: another one goes on with the rest.
# One thread is the rule, because several only take the interpreter lock from the event loop and load no faster.
GROW_AFTER = 0.05
MOST_THREADS = 32
_TICK = GROW_AFTER / 2

# Seconds of trying to start a thread, until the jobs that wait for one fail.
PATIENCE = 1.0


class Pool(Protocol):
    """The threads of all owners together."""

    threads: WarmThreads

    def has_room(self, owner: str) -> bool: ...

    def admit(self, worker: Worker, owner: str) -> bool: ...

    def release(self, worker: Worker) -> None: ...

    def abandon(self, worker: Worker) -> None: ...


class JobQueue:
    """Begins threads for the jobs that wait, and gives up those that run too long; all of them share the threads."""

    def __init__(
        self,
        pool: Pool,
        waiting: Iterable[tuple[Job, str]],
        owner: str,
        deadline: float,
        interrupt: bool,
        grow_after: float = GROW_AFTER,
    ) -> None:
        self._pool = pool
        self._interrupt = interrupt
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self._grow_after = grow_after
        self._waiting = deque(enumerate(waiting))
        self._workers: list[Worker] = []
        self._takers: set[Worker] = set()  # those that will look for another job
        self._lock = threading.Lock()  # for the jobs that wait, and for the takers
        self._failing_since: float | None = None

    def take(self, worker: Worker) -> tuple[int, Job] | None:
        """Return the next job that the thread may begin, with its index; called by the workers.

        One that gets none looks for no other.
        """
        with self._lock:
            found = self._taken(worker)
            if found is None:
                self._takers.discard(worker)
            return found

    def finish(self, worker: Worker, index: int, outcome: Any) -> None:
        """Accept an outcome; called by the workers."""
        self._pool.release(worker)
        self.deliver(index, outcome)

    def deliver(self, index: int, outcome: Any) -> None:
        """Accept an outcome, on any thread."""
        raise NotImplementedError

    def _taken(self, worker: Worker) -> tuple[int, Job] | None:
        for _ in range(len(self._waiting)):
            index, (job, owner) = self._waiting.popleft()
            try:
                if self._pool.admit(worker, owner):
                    return index, job
                self._waiting.append((index, (job, owner)))
            except ThreadsExhausted as e:
                self.deliver(index, e)
        return None

    def _tick(self) -> None:
        self._abandon(longer_than=self._deadline)
        self._workers = [worker for worker in self._workers if worker.is_alive() and not worker.abandoned]
        if self._is_slow() and len(self._workers) < MOST_THREADS and self._have_room():
            self._start()
        self._tick_later()

    def _tick_later(self) -> None:
        self._tick_handle = self._loop.call_later(_TICK, self._tick)

    def _is_slow(self) -> bool:
        """Return whether the jobs that wait need one more thread."""
        return all(worker.busy_for() > self._grow_after for worker in self._workers)

    def _have_room(self) -> bool:
        """Return whether one of the jobs that wait would begin on one more thread."""
        return any(map(self._pool.has_room, {owner for _, (_, owner) in list(self._waiting)}))

    def _start(self) -> None:
        worker = Worker(self, self._deadline, self._interrupt)
        with self._lock:
            self._takers.add(worker)
        try:
            self._pool.threads.run(worker.run, self._owner if self._interrupt else None)
        except RuntimeError as e:
            self._forget(worker)
            self._fail(e)
        else:
            self._workers.append(worker)
            self._failing_since = None

    def _fail(self, error: RuntimeError) -> None:
        self._failing_since = self._failing_since or time.monotonic()
        if not self._workers and time.monotonic() - self._failing_since > PATIENCE:
            text = f"not run: {error}; raise the limit of processes (ulimit -u, TasksMax=, pids.max) or of memory"
            while self._waiting:
                self.deliver(self._waiting.popleft()[0], ThreadsExhausted(text))

    def _abandon(self, longer_than: float, only: int | None = None) -> None:
        for worker in self._workers:
            index = worker.abandon_if_running(longer_than, only)
            if index is not None:
                self._forget(worker)
                self._pool.abandon(worker)
                self.deliver(index, LoadTimeout(f"not finished after {self._deadline:g} s", worker.places()))

    def _forget(self, worker: Worker) -> None:
        with self._lock:
            self._takers.discard(worker)

    def _close(self) -> None:
        self._tick_handle.cancel()
        self._workers.clear()  # threads refer to this object, one that is stuck for as long as it lives
