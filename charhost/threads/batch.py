"""Jobs that are waited for together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from charhost.threads.job_queue import JobQueue, Pool
from charhost.threads.worker import Job


class Batch(JobQueue):
    """Jobs that end together: the event loop is woken once, by the last of them."""

    def __init__(
        self, pool: Pool, jobs: Sequence[Job], owners: Sequence[str], deadline: float, interrupt: bool
    ) -> None:
        owner = owners[0] if len(owners) == 1 else ""
        super().__init__(pool, zip(jobs, owners, strict=True), owner, deadline, interrupt)
        self._count = len(jobs)
        self._outcomes: dict[int, Any] = {}
        self._finished = asyncio.Event()

    async def outcomes(self) -> list[Any]:
        """Wait for all jobs; jobs that still run when the caller is cancelled are given up."""
        self._tick()
        try:
            if self._count:
                await self._finished.wait()
            return [self._outcomes[index] for index in range(self._count)]
        finally:
            self._waiting.clear()
            self._abandon(longer_than=0)
            self._outcomes.clear()
            self._close()

    def deliver(self, index: int, outcome: Any) -> None:
        self._outcomes[index] = outcome
        if len(self._outcomes) == self._count:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._finished.set)
