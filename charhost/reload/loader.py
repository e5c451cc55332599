"""Reading directories and building character sets, with an error for each file that fails."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from charhost.character.character import Character, CharacterSet
from charhost.errors import DirectoryError, LoadTimeout, ThreadsExhausted
from charhost.loading.allowed_roots import AllowedRoots
from charhost.loading.fingerprint import are_quick, fingerprints
from charhost.loading.module_space import Load, ModuleSpace
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot
from charhost.loading.stored_set import StoredSet
from charhost.memory.collector import collector_paused
from charhost.reload.duplicates import duplicates
from charhost.reload.garbage import Garbage
from charhost.reload.loader_context import LoaderContext
from charhost.reload.turns import in_turns
from charhost.report import DEFAULT_SET, FileError, LeftRunning
from charhost.settings import Settings
from charhost.text import display

if TYPE_CHECKING:
    from charhost.sandbox.sandbox import Sandbox

# Seconds that a restore waits for the disk, which it does not need.
_DISK_DEADLINE = 5.0
_MOST_DIRECTORIES = 4


@dataclass(frozen=True, eq=False)
class Build:
    """The result of loading a snapshot; `executed` of its characters were not carried over, and are in `spaces`.

    `space` is the one of the latest snapshot.
    """

    characters: CharacterSet = field(default_factory=lambda: CharacterSet(""))
    errors: tuple[FileError, ...] = ()
    executed: int = 0
    spaces: Collection[ModuleSpace] = ()
    space: ModuleSpace | None = None

    def take(self) -> None:
        """Note that the characters serve."""
        for space in self.spaces if self.executed else ():
            space.take()


@dataclass(frozen=True, eq=False)
class Basis:
    """The current characters, by file, that a build may carry over.

    With `changed` it carries over those whose file did not change, and does not execute a file again that failed
    before and did not change; with `keep` it carries over those whose file now fails.
    """

    characters: Mapping[str, Character] = field(default_factory=dict)
    changed: bool = False
    keep: bool = False

    def carried(self, prints: Mapping[str, str]) -> dict[str, Character]:
        """Return the characters to carry over, by path, for files with these fingerprints."""
        if not self.changed:
            return {}
        return {
            path: character
            for path, fingerprint in prints.items()
            if (character := self.characters.get(display(path))) is not None and character.fingerprint == fingerprint
        }


EMPTY = Basis()


class Loader:
    """Reads directories and builds the characters of one set, on threads of a pool.

    With *trusts_start* the directory of the settings need not lie below an allowed root.
    """

    def __init__(
        self, settings: Settings, context: LoaderContext, name: str = DEFAULT_SET, *, trusts_start: bool = True
    ) -> None:
        self._name = name
        self._context = context
        self._pool = context.pool
        self._settings = settings
        self._limits = Limits.of(settings)
        start = settings.directory if trusts_start else None
        self._roots = AllowedRoots(settings.roots, start) if settings.roots else None
        self._snapshots: OrderedDict[Path, Snapshot] = OrderedDict()  # of the last directories, the latest last
        self._failures: dict[tuple[Path, str, str | None], FileError] = {}
        self._garbage = Garbage()
        self._unloading = context.unloading

    @property
    def left_running(self) -> tuple[LeftRunning, ...]:
        return self._unloading.left_running(self)

    @property
    def latest(self) -> Snapshot | None:
        return next(reversed(self._snapshots.values()), None)

    async def close(self) -> None:
        if "_sandbox" in vars(self):
            await self._sandbox.close()

    def admit(self, stored: StoredSet) -> None:
        """Raise `DirectoryNotAllowed` if a directory of *stored* is not below an allowed root now."""
        if self._roots is not None:
            for snapshot in stored.paths:
                self._roots.admit(snapshot.directory, snapshot.place)

    async def snapshot(self, directory: Path, *, trust_stats: bool = True) -> Snapshot:
        """Read the files of *directory* that changed since the last time; raises `DirectoryError`, `LoadTimeout`."""
        known, after = self._snapshots.get(directory), self.latest.taken if self.latest else 0
        read = partial(take_snapshot, directory, self._limits, known, roots=self._roots)
        job = partial(read, trust_stats=trust_stats, after=after)
        with collector_paused():
            snapshot = await self._pool.run(job, self._settings.load_deadline, str(directory), interrupt=False)
        # With its code: a directory that served before is neither read nor compiled again.
        self._snapshots[directory] = snapshot
        self._snapshots.move_to_end(directory)
        if len(self._snapshots) > _MOST_DIRECTORIES:
            self._snapshots.popitem(last=False)
        return snapshot

    async def snapshot_if_readable(self, directory: Path) -> Snapshot | None:
        """Read *directory* if that is possible within a few seconds."""
        try:
            async with asyncio.timeout(_DISK_DEADLINE):
                return await self.snapshot(directory)
        except (DirectoryError, TimeoutError, LoadTimeout):
            return None

    async def build(
        self, snapshot: Snapshot, directory: str, generation: int, basis: Basis = EMPTY, *, check_isolated: bool = False
    ) -> Build:
        """Build the characters of *snapshot*: carry over those in *basis*, and execute the others.

        With *check_isolated* execute them in a child process first. Raises `IsolatedLoadFailed`.
        """
        with collector_paused():
            prints = await self._fingerprints(snapshot)
            carried = basis.carried(prints)
            failed = self._known_failures(snapshot, prints, carried) if basis.changed else {}
            missing = [path for path in snapshot.character_paths if path not in carried and path not in failed]
            if check_isolated and missing:
                await self._sandbox.check(snapshot, missing)
            space, new = self._open_space(snapshot) if missing else None, dict[str, Character]()
            if space is not None:
                turns = in_turns(missing)
                loads = [self._load(space, path, prints.get(path, ""), generation) async for path in turns]
                new, failures = await self._run(loads)
                failed |= failures
            if space is not None and snapshot.data:  # the loads have shown which file opens which
                prints = await self._fingerprints(snapshot)
                new = {path: replace(character, fingerprint=prints[path]) for path, character in new.items()}
        self._failures = {
            (snapshot.directory, path, prints[path]): error
            for path, error in failed.items()
            if path in prints and error.error_type != ThreadsExhausted.__name__
        }
        characters, errors = _select(carried | new, failed, snapshot, basis)
        executed = sum(characters.get(one.name) is one for one in new.values())
        spaces = [space] if space is not None else []
        return Build(CharacterSet(directory, generation, characters), errors, executed, spaces, space)

    async def rebuild(
        self, stored: StoredSet, generation: int, basis: Basis = EMPTY, *, check_isolated: bool = False
    ) -> Build:
        """Build the characters of a stored set, each from its own snapshot, without the disk.

        Those in *basis* are carried over.
        """
        carried = basis.carried({member.path: member.fingerprint for member in stored.members})
        missing = stored.without(carried)
        with collector_paused():
            if check_isolated:
                for snapshot, paths in missing.paths.items():
                    await self._sandbox.check(snapshot, paths)
            for snapshot in missing.paths:
                await self._fingerprints(snapshot)  # which compiles it
            spaces = {snapshot: self._open_space(snapshot) for snapshot in missing.paths}
            loads = [self._load(spaces[m.snapshot], m.path, m.fingerprint, generation) for m in missing.members]
            new, failed = await self._run(loads) if loads else ({}, {})
        latest = next(iter(stored.paths))
        characters, errors = _select(carried | new, failed, latest, EMPTY)
        restored = CharacterSet(stored.directory, generation, characters)
        return Build(restored, errors, len(new), spaces.values(), spaces.get(latest))

    @cached_property
    def _sandbox(self) -> Sandbox:
        from charhost.sandbox.sandbox import Sandbox  # few servers use it

        return Sandbox(self._settings)

    async def _fingerprints(self, snapshot: Snapshot) -> dict[str, str]:
        if are_quick(snapshot):
            return fingerprints(snapshot)
        job, owner = partial(fingerprints, snapshot), str(snapshot.directory)
        return await self._pool.run(job, self._settings.load_deadline, owner, interrupt=False)

    def _known_failures(
        self, snapshot: Snapshot, prints: Mapping[str, str], carried: Container[str]
    ) -> dict[str, FileError]:
        """Return the errors of files with the same bytes as when they failed, by path, without those *carried* over."""
        return {
            path: error
            for (directory, path, fingerprint), error in self._failures.items()
            if directory == snapshot.directory and prints.get(path) == fingerprint and path not in carried
        }

    def _open_space(self, snapshot: Snapshot) -> ModuleSpace:
        space = ModuleSpace(snapshot, self._context.metrics, self._garbage.collector(len(snapshot.files)))
        self._context.add(space)
        return space

    def _load(self, space: ModuleSpace, path: str, fingerprint: str, generation: int) -> Load:
        return Load(self._unloading.open(space, path, self), fingerprint, generation, self._name)

    async def _run(self, loads: list[Load]) -> tuple[dict[str, Character], dict[str, FileError]]:
        """Return the characters and the errors, by path."""
        versions = [load.version async for load in in_turns(loads)]
        outcomes = await self._pool.run_all(loads, self._settings.file_deadline, versions)
        _keep_standard_descriptors()
        for space in {load.modules.space for load in loads}:
            space.seal()
        pairs = in_turns(list(zip(loads, outcomes, strict=True)))
        results = {load.modules.path: load.result(outcome) async for load, outcome in pairs}
        errors = {path: result for path, result in results.items() if isinstance(result, FileError)}
        return {path: result for path, result in results.items() if isinstance(result, Character)}, errors


def _select(
    loaded: Mapping[str, Character], failed: Mapping[str, FileError], snapshot: Snapshot, basis: Basis
) -> tuple[dict[str, Character], tuple[FileError, ...]]:
    """Return the characters, with the last good one of *basis* for a file that failed, and the errors."""
    last_good = basis.characters if basis.keep else {}
    found = [*loaded.values(), *(last_good[error.file] for error in failed.values() if error.file in last_good)]
    characters = _by_name(found)
    taken: dict[str, FileError] = {}
    if len(characters) < len(found):
        taken = duplicates({character.file: character.name for character in found}, snapshot, basis.characters)
        kept = {character.name: character for character in found if character.file not in taken}
        for file in taken.keys() & last_good:
            kept.setdefault(last_good[file].name, last_good[file])
        characters = _by_name(kept.values())
    return characters, tuple(sorted([*failed.values(), *taken.values()], key=attrgetter("file")))


def _by_name(characters: Iterable[Character]) -> dict[str, Character]:
    """Return the characters by name, in the order of their files."""
    return {character.name: character for character in sorted(characters, key=attrgetter("file"))}


def _keep_standard_descriptors() -> None:
    # A file may have closed one: the next socket would take its number, and receive all that is printed.
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
