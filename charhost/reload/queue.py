"""The queue of reloads."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from charhost.errors import CharhostError, ReloadRefused, RolloutInProgress, Stopping
from charhost.reload.attempt import Attempt, Order
from charhost.report import ReloadReport

log = logging.getLogger("charhost.reload")

# Of other nodes, that a reload waits for.
_MOST_ROLLOUTS = 3


def stopping() -> Stopping:
    return Stopping("The server is shutting down.")


class ReloadQueue:
    """Runs reloads one after the other, in the order of their requests."""

    def __init__(self, run: Callable[[Attempt], Coroutine[Any, Any, ReloadReport]]) -> None:
        self._run = run
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[ReloadReport]] = set()
        self._last: tuple[Order, asyncio.Task[ReloadReport]] | None = None
        self.running: Attempt | None = None
        self._refusal: Callable[[], ReloadRefused] | None = None

    def add(self, order: Order) -> asyncio.Task[ReloadReport]:
        """Return the task that runs *order*, perhaps one that waits with an equal order."""
        # Only the last one in line may be shared: joining one further ahead would let a different request, which
        # was made earlier, have the last word.
        if self._last is not None and self._last[0] == order:
            return self._last[1]
        task = asyncio.create_task(self._run_patiently(order))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        self._last = order, task
        return task

    async def close(self, deadline: float, refusal: Callable[[], ReloadRefused]) -> None:
        """Raise *refusal* in all reloads but the running one, and in that one too after *deadline* seconds."""
        self._refusal = refusal
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=deadline)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run_patiently(self, order: Order) -> ReloadReport:
        """Run *order*, a few times more after rollouts of other nodes, which need this queue in between."""
        for _ in range(_MOST_ROLLOUTS):
            try:
                return await self._run_in_turn(Attempt(order))
            except RolloutInProgress as e:
                await e.ended()
        return await self._run_in_turn(Attempt(order))

    async def _run_in_turn(self, attempt: Attempt) -> ReloadReport:
        try:
            async with self._turn:
                if self._last is not None and self._last[1] is asyncio.current_task():
                    self._last = None
                if self._refusal is not None:
                    raise self._refusal()
                attempt.clock.lap("queue")
                self.running = attempt
                return await self._run(attempt)
        except asyncio.CancelledError:
            if self._refusal is None:  # the event loop ends, as when a server is stopped before it has started
                raise
            raise self._refusal() from None  # by `close`, at its deadline; a caller that waits still gets a response
        finally:
            if self.running is attempt:
                self.running = None

    def _forget(self, task: asyncio.Task[ReloadReport]) -> None:
        self._tasks.discard(task)
        # The caller may be gone: asyncio would log a refusal, which has been logged, as an unhandled exception.
        if not task.cancelled() and not isinstance(e := task.exception(), CharhostError | None):
            log.error("a reload failed unexpectedly", exc_info=e)
