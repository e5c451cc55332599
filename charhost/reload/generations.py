"""Generations: the sets that serve one after the other, in this run of the server and in earlier ones."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from charhost.character.character import CharacterSet
from charhost.errors import HistoryUnavailable, StateError, UnknownGeneration
from charhost.loading.snapshot import Snapshot
from charhost.loading.stored_set import StoredSet
from charhost.metrics import Metrics
from charhost.reload.messages import not_kept
from charhost.reload.store import Store
from charhost.report import ReloadReport

log = logging.getLogger("charhost.reload")

# How many seconds a reload waits for its place in the history; then it is answered without.
RECORD_DEADLINE = 5.0


class Generations:
    """Numbers the sets, and has the store keep what was attempted and what served."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self.store = store
        self._former: StoredSet | None = None
        self._last = 0
        self._errors = metrics.history_errors

    @property
    def former(self) -> StoredSet | None:
        """What served when the server was last ended, without its members; None if nobody knows."""
        return self._former

    async def recover(self) -> None:
        """Look up what served last; for the start."""
        try:
            kept = await self.store.generations()
            self._last = kept[0] if kept else 0
            former = await self.store.stored(self._last) if kept else None
            # Its bytes may be many, and are read again when it is made again.
            self._former = replace(former, members=()) if former is not None else None
        except Exception:
            self._errors.inc()
            log.exception("what served when the server was last ended could not be read; it begins without")

    def after(self, current: CharacterSet) -> int:
        """Answer the number of the set that comes after *current*."""
        return max(current.generation, self._last) + 1

    def continued(self, characters: CharacterSet, disk: str | None) -> CharacterSet:
        """Give the first set of this run the number of the former one if it is the same, made of the same bytes.

        So whoever knows a set by its ETag knows it after a restart, and a server that is restarted all the time does
        not push out of the store what could be rolled back to. *disk* is the revision of what it was loaded from.
        """
        former = self._former
        if former is None or disk != former.disk:
            return characters
        is_same = (characters.directory, characters.revision) == (former.directory, former.revision)
        return characters.numbered(former.generation) if is_same else characters

    async def find(self, generation: int | None, current: CharacterSet) -> StoredSet:
        """Look up the set of one generation, of the one before *current* for None.

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
        """Put an attempt into the history; a store that fails, or hangs, costs that, and not the reload."""
        try:
            async with asyncio.timeout(RECORD_DEADLINE):
                await self.store.record(report, StoredSet.of(current, disk) if report.outcome == "applied" else None)
        # A shutdown gives up on those that are late; but the set is in place, and whoever asked for it is told so.
        except (TimeoutError, asyncio.CancelledError):
            self._errors.inc()
            log.error("the reload %s is not in the history yet: the state file is slow", report.reload_id)
        except Exception:
            self._errors.inc()
            log.exception("the reload %s could not be kept in the history", report.reload_id)
