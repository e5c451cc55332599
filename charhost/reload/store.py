"""The history: the reports of reloads, and the sets that served, by number."""

import asyncio
import logging
from collections import OrderedDict, deque
from dataclasses import replace
from itertools import islice
from typing import Protocol

from charhost.character.character import CharacterSet
from charhost.errors import HistoryUnavailable, StateError, UnknownGeneration
from charhost.loading.snapshot import Snapshot
from charhost.loading.stored_set import StoredSet
from charhost.logs.fault_log import FaultLog
from charhost.metrics import Metrics
from charhost.reload.messages import not_kept
from charhost.reload.turns import turn_after
from charhost.report import ReloadReport

log = logging.getLogger("charhost.reload")

MOST_SETS = 20
MOST_ATTEMPTS = 100

# Seconds that a reload waits until it is recorded.
_RECORD_DEADLINE = 5.0


class Store(Protocol):
    """Keeps the history; a method that fails loses history, never a reload."""

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        """Keep a report and, if the reload was applied, its set."""

    async def attempts(self, limit: int) -> tuple[ReloadReport, ...]:
        """Return the last reports, the newest first."""

    async def attempt(self, reload_id: str) -> ReloadReport | None: ...

    async def generations(self) -> tuple[int, ...]:
        """Return the generations whose sets are kept, the newest first."""

    async def stored(self, generation: int) -> StoredSet | None: ...


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


class Generations:
    """Numbers the sets, and records reloads in the store.

    `former` is the last set of the run before, without its members; None if it is unknown.
    """

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self.store = store
        self.former: StoredSet | None = None
        self._last = 0
        self._errors = metrics.history_errors
        self._faults = FaultLog(log)

    async def recover(self) -> None:
        """Look up the last set of the run before."""
        try:
            kept = await self.store.generations()
            self._last = kept[0] if kept else 0
            former = await self.store.stored(self._last) if kept else None
            # Its bytes may be many, and are read again when it is restored.
            self.former = replace(former, members=()) if former is not None else None
        except Exception:
            self._errors.inc()
            log.exception("cannot read the last set from the state file; starting without it")

    def after(self, current: CharacterSet) -> int:
        return max(current.generation, self._last) + 1

    def continued(self, characters: CharacterSet, disk: str | None) -> CharacterSet:
        """Return the first set of this run, with the number of the former set if both are made of the same bytes.

        Keeps ETags valid across restarts, and keeps restarts from evicting older sets. *disk* is the revision of the
        snapshot that the set was loaded from.
        """
        former = self.former
        if former is None or (characters.directory, characters.revision) != (former.directory, former.revision):
            return characters
        return characters.numbered(former.generation) if disk == former.disk else characters

    async def find(self, generation: int | None, current: CharacterSet) -> StoredSet:
        """Return the stored set of one generation; None means the one before *current*.

        Raises `UnknownGeneration`, and `HistoryUnavailable` if the store cannot be read.
        """
        try:
            kept = await self.store.generations()
            if generation is None:
                generation = next((one for one in kept if one < current.generation), None)
            stored = await self.store.stored(generation) if generation in kept else None
        except StateError as e:
            raise HistoryUnavailable(f"The history cannot be read: {e}.") from e
        if stored is None:
            raise UnknownGeneration(not_kept(generation, kept))
        return stored

    async def record(self, report: ReloadReport, current: CharacterSet, disk: Snapshot | None) -> None:
        """Record an attempt. A store that fails or hangs loses the record, not the reload."""
        try:
            async with asyncio.timeout(_RECORD_DEADLINE):
                await turn_after(current)  # which the report took
                await self.store.record(report, StoredSet.of(current, disk) if report.outcome == "applied" else None)
        # A shutdown cancels late ones; but the set is in place, and the caller receives its report.
        except (TimeoutError, asyncio.CancelledError):
            self._errors.inc()
            self._faults.error("the reload %s is not in the history yet: the state file is slow", report.reload_id)
        except Exception as e:
            self._errors.inc()
            self._faults.error("the reload %s could not be kept in the history", report.reload_id, cause=e)
