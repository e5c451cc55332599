"""Tasks of one session that end when its client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from charhost.web.sessions.session import Session

Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class SessionTasks:
    """Runs work for one session in the group of its connection; a fault in it ends the session."""

    _session: Session
    _group: asyncio.TaskGroup
    _running: set[asyncio.Task[Any]] = field(default_factory=set)

    def run(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = self._group.create_task(self._guarded(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: work.close())  # of a task that was cancelled before it began
        return task

    def cancel(self) -> None:
        for task in self._running:
            task.cancel()

    async def _guarded(self, work: Coroutine[Any, Any, Result]) -> Result:
        try:
            return await work
        except Exception:
            self._session.fail()
            raise asyncio.CancelledError from None
