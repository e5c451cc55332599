"""One attempt to reload: its stages, and the report it makes."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

from charhost.character.character import CharacterSet
from charhost.errors import DirectoryError, IsolatedLoadFailed, LoadTimeout
from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Snapshot
from charhost.loading.stored_set import StoredSet
from charhost.reload.generations import Generations
from charhost.reload.loader import Basis, Build, Loader
from charhost.reload.order import FromHistory, Order
from charhost.reload.swap import Swap
from charhost.report import FileError, Outcome, ReloadReport, Serving, SessionImpact, Timings
from charhost.text import timestamp

# Seconds that a restore waits for the disk, which it does not need.
_DISK_DEADLINE = 5.0


class Attempt:
    """One run of an order; only one runs at a time.

    Its `snapshot` is the disk, also where a stored set is restored: the difference shows whether the disk has changed.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self.reload_id = secrets.token_hex(8)
        self.started_at = timestamp()
        self.clock = Clock()
        self.directory = ""
        self.snapshot: Snapshot | None = None
        self.stored: StoredSet | None = None
        self.errors: tuple[FileError, ...] = ()
        self._build: Build | None = None

    @property
    def executed(self) -> int:
        """How many characters were executed rather than carried over."""
        return self._build.executed if self._build else 0

    @property
    def space(self) -> ModuleSpace | None:
        """The modules of the characters that were executed."""
        return self._build.space if self._build else None

    async def run(
        self, loader: Loader, generations: Generations, current: CharacterSet, applied: Snapshot | None, isolate: bool
    ) -> CharacterSet:
        """Return the set to replace *current*, which was last equal to the disk at *applied*.

        Raises `DirectoryError`, `IsolatedLoadFailed`, `LoadTimeout` and `NotAttempted`.
        """
        generation = generations.after(current)
        try:
            if isinstance(self.order.source, FromHistory):
                stored = self.stored = await generations.find(self.order.source.generation, current)
                build = await self._restore(loader, stored, generation, isolate)
            else:
                build = await self._load(loader, current, applied, generation, isolate)
        except IsolatedLoadFailed as e:
            self.errors = e.errors
            raise
        self._build, self.errors = build, build.errors
        self.clock.lap("build")
        if current.generation:
            return build.characters
        read = self.snapshot.disk_revision if self.snapshot else None
        return generations.continued(build.characters, self.stored.disk if self.stored else read)

    def report(
        self, outcome: Outcome, message: str, swap: Swap, impact: SessionImpact, serving: Serving
    ) -> ReloadReport:
        """Report the attempt; *swap* leads to the set it loaded, or from the current set to itself."""
        request = self.order.request
        return ReloadReport(
            success=outcome in ("applied", "unchanged", "valid"),
            directory=self.directory,
            total_files=self._total_files,
            loaded_count=len(self._build.characters) if self._build else 0,
            error_count=len(self.errors),
            load_duration=self.clock.total,
            message=message,
            reload_id=self.reload_id,
            outcome=outcome,
            trigger=self.order.trigger,
            scope=request.scope,
            dry_run=request.dry_run,
            reason=request.reason,
            generation=swap.after.generation,
            revision=swap.after.revision,
            started_at=self.started_at,
            changes=swap.changes,
            errors=self.errors,
            sessions=impact,
            serving=serving,
            timings=Timings(**self.clock.laps),
        )

    async def _load(
        self, loader: Loader, current: CharacterSet, applied: Snapshot | None, generation: int, isolate: bool
    ) -> Build:
        directory, snapshot = Path(self.directory), self._ordered_snapshot
        if snapshot is None or _is_outdated(snapshot, directory, applied):
            snapshot = await loader.snapshot(directory)
        self.snapshot = snapshot
        self.clock.lap("snapshot")
        basis = self._basis(current, directory)
        return await loader.build(snapshot, self.directory, generation, basis, check_isolated=isolate)

    async def _restore(self, loader: Loader, stored: StoredSet, generation: int, isolate: bool) -> Build:
        self.directory = stored.directory
        loader.admit(stored)
        self.snapshot = await snapshot_of(Path(stored.directory), loader)
        self.clock.lap("snapshot")
        return await loader.rebuild(stored, generation, check_isolated=isolate)

    @property
    def _ordered_snapshot(self) -> Snapshot | None:
        source = self.order.source
        return None if isinstance(source, FromHistory) else source.snapshot

    @property
    def _total_files(self) -> int:
        if self.stored is not None:
            return len(self.stored.members)
        return len(self.snapshot.character_paths) if self.snapshot else 0

    def _basis(self, current: CharacterSet, directory: Path) -> Basis:
        if Path(current.directory) != directory:
            return Basis()
        by_file = {character.file: character for character in current.values()}
        changed_only = self.order.request.scope == "changed"
        return Basis(
            unchanged=by_file if changed_only else {},
            last_good=by_file if self.order.request.on_error == "keep" else {},
            failures=changed_only,
        )


class Clock:
    """The seconds of each stage, by name; the time in the queue is not part of the total."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, name: str) -> None:
        """End the stage called *name*."""
        now = time.monotonic()
        self.laps[name] = round(now - self._since, 6)
        self._since = now

    @property
    def total(self) -> float:
        """Seconds of work so far."""
        running = time.monotonic() - self._since if "queue" in self.laps else 0.0
        return round(sum(self.laps.values()) - self.laps.get("queue", 0.0) + running, 6)


async def snapshot_of(directory: Path, loader: Loader) -> Snapshot | None:
    """Read *directory* if that is possible within a few seconds."""
    try:
        async with asyncio.timeout(_DISK_DEADLINE):
            return await loader.snapshot(directory)
    except (DirectoryError, TimeoutError, LoadTimeout):
        return None


def _is_outdated(snapshot: Snapshot, directory: Path, applied: Snapshot | None) -> bool:
    # Needed beside the `etags` of an order: a reload that changed nothing applies a later snapshot under the same ETag,
    # and loading the earlier one would undo the changes since. The `etags` are needed beside this: a
    # rollback makes the snapshot outdated too, and to read the disk again would undo it.
    later = applied is not None and snapshot.taken < applied.taken
    return later or snapshot.directory != directory
