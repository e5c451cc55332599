"""One attempt to reload: its order, its stages, and the report it makes."""

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from charhost.character.character import CharacterSet
from charhost.errors import IsolatedLoadFailed
from charhost.loading.snapshot import Snapshot
from charhost.loading.stored_set import StoredSet
from charhost.reload.loader import EMPTY, Basis, Build, Loader
from charhost.reload.messages import count
from charhost.reload.request import ReloadRequest
from charhost.reload.store import Generations
from charhost.reload.swap import Swap
from charhost.report import FleetOutcome, Outcome, ReloadReport, Serving, SessionImpact, Timings, Trigger
from charhost.text import timestamp


@dataclass(frozen=True)
class FromHistory:
    """Restore the stored set of *generation*; None means the one before the current set."""

    generation: int | None = None


# A snapshot replaces reading the directory as long as it is up to date; a stored set is that of another machine, whose
# directory means nothing here; None: the directory is read.
Source = Snapshot | StoredSet | FromHistory | None


class Consent(Protocol):
    """Decides whether a set that was built may replace the current one; both methods may set `attempt.fleet`."""

    async def ask(self, attempt: "Attempt", swap: Swap) -> int:
        """Return the generation that the set is to serve as.

        Raises `Withheld`, which refuses the reload, or `NotAttempted`, after which it is neither counted nor reported.
        """

    async def confirm(self, attempt: "Attempt") -> None:
        """Note that the set serves."""


@dataclass(frozen=True)
class Order:
    """A request, where its characters come from, and the sets (*etags*) of which one must be current; None: any.

    The *trigger* is reported and counted, and names the restoring of a stored set: a rollback or a resumption. Without
    a *consent* of its own it needs that of the manager. Equal orders that wait share one run.
    """

    request: ReloadRequest
    trigger: Trigger
    source: Source
    etags: tuple[str, ...] | None
    consent: Consent | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether the characters are those of another machine: nothing is read from their directory."""
        return isinstance(self.source, StoredSet)


class Attempt:
    """One run of an order; only one runs at a time.

    Its `snapshot` is the disk, also where a stored set is restored: the difference shows whether the disk has changed.
    `home` is the directory that was read before it.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self.home = Path()
        self.reload_id = secrets.token_hex(8)
        self.started_at = timestamp()
        self.clock = Clock()
        self.directory = ""
        self.snapshot: Snapshot | None = None
        self.stored: StoredSet | None = None
        self.build = Build()
        self.fleet: FleetOutcome | None = None

    async def find(self, generations: Generations, current: CharacterSet) -> None:
        """Find the stored set that the order has or names, if it does; raises `NotAttempted`."""
        match self.order.source:
            case FromHistory(generation):
                self.stored = await generations.find(generation, current)
            case StoredSet() as stored:
                self.stored = stored
            case _:
                return
        self.directory = self.stored.directory

    async def run(
        self, loader: Loader, generations: Generations, current: CharacterSet, applied: Snapshot | None, isolate: bool
    ) -> CharacterSet:
        """Return the set to replace *current*, which was last equal to the disk at *applied*.

        Raises `DirectoryError`, `IsolatedLoadFailed` and `LoadTimeout`.
        """
        generation = self._generation(generations, current)
        try:
            if self.stored is not None:
                self.snapshot = await self._read_beside(loader, self.stored, applied)
                basis = self._basis(current) if self.order.is_foreign else EMPTY
                self.build = await loader.rebuild(self.stored, generation, basis, check_isolated=isolate)
            else:
                self.snapshot = await self._read(loader, applied)
                basis = self._basis(current)
                self.build = await loader.build(
                    self.snapshot, self.directory, generation, basis, check_isolated=isolate
                )
        except IsolatedLoadFailed as e:
            self.build = Build(errors=e.errors)
            raise
        self.clock.lap("build")
        if current.generation:
            return self.build.characters
        read = self.snapshot.disk_revision if self.snapshot else None
        return generations.continued(self.build.characters, self.stored.disk if self.stored else read)

    async def agreed(self, consent: Consent, swap: Swap) -> Swap:
        """Return *swap* with the generation that *consent* gives the set; raises the same as `Consent.ask`."""
        try:
            return replace(swap, after=swap.after.numbered(await consent.ask(self, swap)))
        finally:
            self.clock.skip()

    async def confirmed(self, consent: Consent) -> None:
        """Note that the set serves; a shutdown meanwhile does not undo that."""
        with suppress(asyncio.CancelledError):
            await consent.confirm(self)
        self.clock.skip()

    @property
    def success(self) -> str:
        """The message of a reload that was applied."""
        loaded = f"{count(len(self.build.characters), 'character')} from {self.directory}"
        if self.stored is None or self.order.trigger == "http":
            return f"Successfully loaded {loaded}"
        did = {"rollback": "rolled back to", "fleet": "followed the fleet to"}.get(self.order.trigger, "resumed")
        return f"Successfully {did} generation {self.stored.generation}: {loaded}"

    def report(
        self, name: str, outcome: Outcome, message: str, swap: Swap, impact: SessionImpact, serving: Serving
    ) -> ReloadReport:
        """Report the attempt; *name* is that of the set.

        *swap* leads to the characters it loaded, or from the current ones to themselves.
        """
        request = self.order.request
        return ReloadReport(
            success=outcome in ("applied", "unchanged", "valid"),
            directory=self.directory,
            total_files=self._total_files,
            loaded_count=len(self.build.characters),
            error_count=len(self.build.errors),
            load_duration=self.clock.total,
            message=message,
            reload_id=self.reload_id,
            set=name,
            outcome=outcome,
            trigger=self.order.trigger,
            scope=request.scope,
            dry_run=request.dry_run,
            reason=request.reason,
            generation=swap.after.generation,
            revision=swap.after.revision,
            started_at=self.started_at,
            changes=swap.changes,
            errors=self.build.errors,
            sessions=impact,
            serving=serving,
            timings=Timings(**self.clock.laps),
            fleet=self.fleet,
        )

    async def _read(self, loader: Loader, applied: Snapshot | None) -> Snapshot:
        directory, source = Path(self.directory), self.order.source
        snapshot = source if isinstance(source, Snapshot) else None
        if snapshot is None or _is_outdated(snapshot, directory, applied):
            snapshot = await loader.snapshot(directory)
        self.clock.lap("snapshot")
        return snapshot

    async def _read_beside(self, loader: Loader, stored: StoredSet, applied: Snapshot | None) -> Snapshot | None:
        """Return the disk at the time when *stored* is restored."""
        directory = self.home if self.order.is_foreign else Path(stored.directory)
        if not self.order.is_foreign:
            loader.admit(stored)
        # A change on the disk is not undone by one on another machine: it is still to be loaded.
        following = self.order.trigger == "fleet"
        snapshot = applied if following and applied else await loader.snapshot_if_readable(directory)
        self.clock.lap("snapshot")
        return snapshot

    @property
    def _total_files(self) -> int:
        if self.stored is not None:
            return len(self.stored.members)
        return len(self.snapshot.character_paths) if self.snapshot else 0

    def _generation(self, generations: Generations, current: CharacterSet) -> int:
        # So that the characters need not be numbered again in the moment in which all nodes begin to serve them.
        if self.stored is not None and self.order.trigger == "fleet":
            return self.stored.generation
        return generations.after(current)

    def _basis(self, current: CharacterSet) -> Basis:
        if Path(current.directory) != Path(self.directory):
            return EMPTY
        request, by_file = self.order.request, {character.file: character for character in current.values()}
        return Basis(by_file, changed=request.scope == "changed", keep=request.on_error == "keep")


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

    def skip(self) -> None:
        """Leave out the time since the last stage, in which the attempt waited for others."""
        self._since = time.monotonic()

    @property
    def total(self) -> float:
        ended = sum(seconds for stage, seconds in self.laps.items() if stage != "queue")
        return round(ended + time.monotonic() - self._since, 6)


def _is_outdated(snapshot: Snapshot, directory: Path, applied: Snapshot | None) -> bool:
    # Needed beside the `etags` of an order: a reload that changed nothing applies a later snapshot under the same ETag,
    # and loading the earlier one would undo the changes since. The `etags` are needed beside this: a
    # rollback makes the snapshot outdated too, and to read the disk again would undo it.
    later = applied is not None and snapshot.taken < applied.taken
    return later or snapshot.directory != directory
