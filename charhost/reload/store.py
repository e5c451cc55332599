"""The history: the reports of reloads, and the sets that served."""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import islice
from typing import Protocol

from charhost.loading.stored_set import StoredSet
from charhost.report import ReloadReport

MOST_SETS = 20
MOST_ATTEMPTS = 100


class Store(Protocol):
    """Keeps the history; a method that fails loses history, never a reload."""

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        """Keep a report and, if the reload was applied, its set."""

    async def attempts(self, limit: int) -> tuple[ReloadReport, ...]:
        """Return the last reports, the newest first."""

    async def attempt(self, reload_id: str) -> ReloadReport | None:
        """Return the report of one reload."""

    async def generations(self) -> tuple[int, ...]:
        """Return the generations whose sets are kept, the newest first."""

    async def stored(self, generation: int) -> StoredSet | None:
        """Return the set of one generation."""


class MemoryStore:
    """Keeps the last 20 sets and the last 100 reports, as long as the application lives.

    Snapshots share the files that did not change, so each content is held once.
    """

    def __init__(self) -> None:
        self._attempts: deque[ReloadReport] = deque(maxlen=MOST_ATTEMPTS)
        self._sets: OrderedDict[int, StoredSet] = OrderedDict()

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        self._attempts.appendleft(report)
        if applied is not None:
            self._sets[applied.generation] = applied
            if len(self._sets) > MOST_SETS:
                self._sets.popitem(last=False)

    async def attempts(self, limit: int) -> tuple[ReloadReport, ...]:
        return tuple(islice(self._attempts, limit))

    async def attempt(self, reload_id: str) -> ReloadReport | None:
        return next((report for report in self._attempts if report.reload_id == reload_id), None)

    async def generations(self) -> tuple[int, ...]:
        return tuple(reversed(self._sets))

    async def stored(self, generation: int) -> StoredSet | None:
        return self._sets.get(generation)
