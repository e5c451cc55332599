"""Calls that share threads, and are each waited for alone."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

from charhost.threads.job_queue import JobQueue, Pool
from charhost.threads.worker import Job, Worker

# Most calls take far less, and a conversation waits for each.
_GROW_AFTER = 0.01


class Calls(JobQueue):
    """Calls of one owner, each waited for alone: those that come together share a thread while it is quick.

    The event loop is woken when a thread has run all that wait, or at the next tick: to wake it is to hand over the
    interpreter lock, which takes longer than most calls.
    """

    def __init__(self, pool: Pool, owner: str, deadline: float, interrupt: bool) -> None:
        super().__init__(pool, (), owner, deadline, interrupt, _GROW_AFTER)
        self._made = self._known = 0  # calls, until now and until the last tick
        self._waited_for: dict[int, asyncio.Future[Any]] = {}
        self._outcomes: deque[tuple[int, Any]] = deque()
        self._tick_later()

    @property
    def are_over(self) -> bool:
        return not self._waited_for

    async def outcome(self, job: Job) -> Any:
        """Wait for one job; if it still runs when the caller is cancelled it is given up."""
        index, future = self._made, self._loop.create_future()
        self._made += 1
        self._waited_for[index] = future
        with self._lock:
            is_first = not self._waiting
            self._waiting.append((index, (job, self._owner)))
        if is_first:  # the others of this turn of the loop go with it
            self._loop.call_soon(self._hand_over)
        try:
            return await future
        finally:
            del self._waited_for[index]
            if future.cancelled():
                self._give_up(index)
            if self.are_over:
                self._close()

    def take(self, worker: Worker) -> tuple[int, Job] | None:
        found = super().take(worker)
        if found is None and self._outcomes:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._settle)
        return found

    def deliver(self, index: int, outcome: Any) -> None:
        self._outcomes.append((index, outcome))

    def _tick(self) -> None:
        super()._tick()
        self._settle()

    def _is_slow(self) -> bool:
        # Also where each call is quick: many may wait, and for something that is no work of this process.
        known, self._known = self._known, self._made
        with self._lock:
            has_waited = bool(self._waiting) and self._waiting[0][0] < known
        return has_waited or super()._is_slow()

    def _hand_over(self) -> None:
        """Begin a thread for the calls of this turn of the event loop, if none will look for them."""
        with self._lock:
            has_taker = bool(self._takers) or not self._waiting
        if not has_taker and self._pool.has_room(self._owner):
            self._start()

    def _settle(self) -> None:
        """End the calls that have an outcome."""
        while self._outcomes:
            index, outcome = self._outcomes.popleft()
            future = self._waited_for.get(index)
            if future is not None and not future.done():
                future.set_result(outcome)

    def _give_up(self, index: int) -> None:
        with self._lock:
            for found in [found for found in self._waiting if found[0] == index]:
                self._waiting.remove(found)
        self._abandon(longer_than=0, only=index)
