"""Reading directories and building character sets, with an error for each file that fails."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from weakref import WeakSet

from charhost.character.character import Character, CharacterSet
from charhost.character.diagnostics import explain
from charhost.character.static import line_of
from charhost.character.worker_pool import WorkerPool
from charhost.errors import DirectoryError, DuplicateName, LoadTimeout, ThreadsExhausted
from charhost.loading.allowed_roots import AllowedRoots
from charhost.loading.character_metrics import CharacterMetrics, Encode
from charhost.loading.fingerprint import fingerprints
from charhost.loading.module_space import Load, ModuleSpace
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot
from charhost.loading.stored_set import StoredSet
from charhost.loading.unloading import Unloading
from charhost.memory.collector import collector_paused
from charhost.metrics import Metrics
from charhost.reload.garbage import Garbage
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
class LoaderContext:
    """The parts that the loaders of all character sets share; lives as long as the application."""

    pool: WorkerPool = field(default_factory=WorkerPool)
    unload_deadline: float = 5.0
    metrics: CharacterMetrics = field(default_factory=CharacterMetrics)
    spaces: WeakSet[ModuleSpace] = field(default_factory=WeakSet)

    @cached_property
    def unloading(self) -> Unloading:
        return Unloading(self.pool, self.unload_deadline)

    @property
    def builds_alive(self) -> int:
        return len(self.spaces)

    def show_in(self, metrics: Metrics) -> None:
        metrics.builds_alive.set_function(lambda: self.builds_alive)
        metrics.threads_stuck.set_function(lambda: self.pool.stuck)

    async def collect_metrics(self, encode: Encode) -> tuple[bytes, int]:
        """Return the encoded metrics of the characters, and how many of their collectors failed."""
        return await self.metrics.collect(self.pool, encode)


_Results = Mapping[str, Character | FileError | None]


@dataclass(frozen=True, eq=False)
class Build:
    """The result of loading a snapshot; `space` has the modules of the characters that were not carried over."""

    characters: CharacterSet = field(default_factory=lambda: CharacterSet(""))
    errors: tuple[FileError, ...] = ()
    space: ModuleSpace | None = None

    @property
    def executed(self) -> int:
        """How many characters were not carried over."""
        return sum(character.generation == self.characters.generation for character in self.characters.values())


@dataclass(frozen=True, eq=False)
class Basis:
    """The current characters, by file, that a build may carry over.

    With `changed` it carries over those whose file did not change, and does not execute a file again that failed
    before and did not change; with `keep` it carries over those whose file now fails.
    """

    characters: Mapping[str, Character] = field(default_factory=dict)
    changed: bool = False
    keep: bool = False

    def find(self, path: str, fingerprint: str | None) -> Character | None:
        """Return the character to carry over for a file, if there is one."""
        character = self.characters.get(display(path)) if self.changed else None
        return character if character is not None and character.fingerprint == fingerprint else None


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
            results = {path: self._known(snapshot, path, prints, basis) for path in snapshot.character_paths}
            missing = [path for path, result in results.items() if result is None]
            if check_isolated and missing:
                await self._sandbox.check(snapshot, missing)
            space = self._open_space(snapshot) if missing else None
            if space is not None:
                turns = in_turns(missing)
                loads = [self._load(space, path, prints.get(path, ""), generation) async for path in turns]
                results.update(await self._run(loads))
                if snapshot.data:  # the loads have shown which file opens which
                    prints = await self._fingerprints(snapshot)
                    new = {path: result for path in missing if isinstance(result := results[path], Character)}
                    results.update({path: replace(new[path], fingerprint=prints[path]) for path in new})
        self._failures = {
            (snapshot.directory, path, prints[path]): result
            for path, result in results.items()
            if isinstance(result, FileError) and path in prints and result.error_type != ThreadsExhausted.__name__
        }
        characters, errors = _select(results, snapshot, basis)
        return Build(CharacterSet(directory, generation, characters), errors, space)

    async def rebuild(
        self, stored: StoredSet, generation: int, basis: Basis = EMPTY, *, check_isolated: bool = False
    ) -> Build:
        """Build the characters of a stored set, each from its own snapshot, without the disk.

        Those in *basis* are carried over.
        """
        known = {m.path: character for m in stored.members if (character := basis.find(m.path, m.fingerprint))}
        missing = stored.without(known)
        with collector_paused():
            if check_isolated:
                for snapshot, paths in missing.paths.items():
                    await self._sandbox.check(snapshot, paths)
            for snapshot in missing.paths:
                await self._fingerprints(snapshot)  # which compiles it
            spaces = {snapshot: self._open_space(snapshot) for snapshot in missing.paths}
            loads = [self._load(spaces[m.snapshot], m.path, m.fingerprint, generation) for m in missing.members]
            results = known | (await self._run(loads) if loads else {})
        latest = next(iter(stored.paths))
        characters, errors = _select(results, latest, EMPTY)
        return Build(CharacterSet(stored.directory, generation, characters), errors, spaces.get(latest))

    @cached_property
    def _sandbox(self) -> Sandbox:
        from charhost.sandbox.sandbox import Sandbox  # few servers use it

        return Sandbox(self._settings)

    async def _fingerprints(self, snapshot: Snapshot) -> dict[str, str]:
        return await self._pool.run(partial(fingerprints, snapshot), self._settings.load_deadline)

    def _known(
        self, snapshot: Snapshot, path: str, prints: dict[str, str], basis: Basis
    ) -> Character | FileError | None:
        """Return the character of an unchanged file, or the error of its same bytes, if known."""
        if not basis.changed:
            return None
        key = (snapshot.directory, path, prints.get(path))
        return basis.find(path, prints.get(path)) or self._failures.get(key)

    def _open_space(self, snapshot: Snapshot) -> ModuleSpace:
        space = ModuleSpace(snapshot, self._context.metrics, self._garbage.collector(len(snapshot.files)))
        self._context.spaces.add(space)
        return space

    def _load(self, space: ModuleSpace, path: str, fingerprint: str, generation: int) -> Load:
        return Load(self._unloading.open(space, path, self), fingerprint, generation, self._name)

    async def _run(self, loads: list[Load]) -> dict[str, Character | FileError]:
        versions = [load.version async for load in in_turns(loads)]
        outcomes = await self._pool.run_all(loads, self._settings.file_deadline, versions)
        _keep_standard_descriptors()
        for space in {load.modules.space for load in loads}:
            space.seal()
        pairs = in_turns(list(zip(loads, outcomes, strict=True)))
        return {load.modules.path: load.result(outcome) async for load, outcome in pairs}


def _select(results: _Results, snapshot: Snapshot, basis: Basis) -> tuple[dict[str, Character], tuple[FileError, ...]]:
    """Return the characters, with the last good one of *basis* for a file that failed, and the errors."""
    last_good = basis.characters if basis.keep else {}
    errors = [result for result in results.values() if isinstance(result, FileError)]
    loaded = [result for result in results.values() if isinstance(result, Character)]
    loaded += [last_good[error.file] for error in errors if error.file in last_good]
    holders = {character.name: file for file, character in basis.characters.items()}
    taken = duplicates({character.file: character.name for character in loaded}, snapshot, holders)
    characters = {character.name: character for character in loaded if character.file not in taken}
    for file in taken.keys() & last_good:
        characters.setdefault(last_good[file].name, last_good[file])
    in_order = sorted(characters.values(), key=lambda character: character.file)
    errors = sorted([*errors, *taken.values()], key=lambda error: error.file)
    return {character.name: character for character in in_order}, tuple(errors)


def duplicates(
    names: Mapping[str, str], snapshot: Snapshot, holders: Mapping[str, str] = MappingProxyType({})
) -> dict[str, FileError]:
    """Return an error for each path whose character has the name of another that serves; *names* has them by path.

    A name belongs to its path in *holders* as long as that one has it, else to the shortest path, then to the first.
    """
    owners: dict[str, str] = {}
    for path in sorted(names, key=lambda path: (holders.get(names[path]) != path, len(path), path)):
        owners.setdefault(names[path], path)
    errors = {}
    for path, name in names.items():
        owner = owners[name]
        if owner != path:
            text = f"{name!r} is already the CHARACTER_NAME of {display(owner)}; give one of them another name: "
            text += f"{display(owner)} serves, {display(path)} does not"
            line = line_of(snapshot.files[path].text, "CHARACTER_NAME") if path in snapshot.files else None
            errors[path] = explain(DuplicateName(text, line, name), path, path)
    return errors


def _keep_standard_descriptors() -> None:
    # A file may have closed one: the next socket would take its number, and receive all that is printed.
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
