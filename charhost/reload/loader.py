"""Reading directories and building character sets, with an error for each file that fails."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from weakref import WeakSet

from charhost.character.character import Character, CharacterSet
from charhost.character.diagnostics import explain
from charhost.character.static import line_of
from charhost.character.worker_pool import WorkerPool
from charhost.errors import DuplicateName
from charhost.loading.allowed_roots import AllowedRoots
from charhost.loading.fingerprint import fingerprints
from charhost.loading.module_space import Load, ModuleSpace
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import StoredSet
from charhost.reload.garbage import Garbage, collector_paused
from charhost.report import FileError
from charhost.sandbox.sandbox import Sandbox
from charhost.settings import Settings
from charhost.text import display


@dataclass(frozen=True, eq=False)
class Build:
    """The result of loading a snapshot; `executed` counts the characters that were not carried over."""

    characters: CharacterSet
    errors: tuple[FileError, ...]
    executed: int
    space: ModuleSpace | None


@dataclass(frozen=True, eq=False)
class Basis:
    """The characters, by file, that a build may carry over: if their file did not change, or if it now fails.

    With `failures`, a file that failed before and did not change is not executed again.
    """

    unchanged: Mapping[str, Character] = field(default_factory=dict)
    last_good: Mapping[str, Character] = field(default_factory=dict)
    failures: bool = False


class Loader:
    """Reads directories and builds character sets, on threads of a pool."""

    def __init__(self, settings: Settings, pool: WorkerPool) -> None:
        self._pool = pool
        self._sandbox = Sandbox(settings)
        self._limits = Limits.of(settings)
        self._roots = AllowedRoots(settings.roots, settings.directory) if settings.roots else None
        self._file_deadline = settings.file_deadline
        self._load_deadline = settings.load_deadline
        self._latest: Snapshot | None = None
        self._failures: dict[tuple[Path, str], tuple[str, FileError]] = {}
        self._spaces: WeakSet[ModuleSpace] = WeakSet()
        self._garbage = Garbage()

    @property
    def builds_alive(self) -> int:
        """How many builds have modules that are still referenced."""
        return len(self._spaces)

    async def close(self) -> None:
        """End the process of the isolated checks."""
        await self._sandbox.close()

    def admit(self, stored: StoredSet) -> None:
        """Raise `DirectoryNotAllowed` if a directory of *stored* is not below an allowed root now."""
        if self._roots is not None:
            for snapshot in stored.paths:
                self._roots.admit(snapshot.directory, snapshot.place)

    async def snapshot(self, directory: Path, *, trust_stats: bool = True) -> Snapshot:
        """Read the files of *directory* that changed since the last time; raises `DirectoryError`, `LoadTimeout`."""
        job = partial(take_snapshot, directory, self._limits, self._latest, trust_stats=trust_stats, roots=self._roots)
        with collector_paused():
            self._latest = await self._pool.run(job, self._load_deadline, interrupt=False)
        return self._latest

    async def build(
        self,
        snapshot: Snapshot,
        directory: str,
        generation: int,
        basis: Basis | None = None,
        *,
        check_isolated: bool = False,
    ) -> Build:
        """Build the characters of *snapshot*: carry over those in *basis*, and execute the others.

        With *check_isolated* execute them in a child process first. Raises `IsolatedLoadFailed`.
        """
        basis = basis or Basis()
        with collector_paused():
            prints: dict[str, str] = await self._pool.run(partial(fingerprints, snapshot), self._load_deadline)
            results = {path: self._known(snapshot, path, prints, basis) for path in snapshot.character_paths}
            missing = [path for path, result in results.items() if result is None]
            if check_isolated and missing:
                await self._sandbox.check(snapshot, missing)
            space = self._open_space(snapshot, len(missing)) if missing else None
            if space is not None:
                loads = [Load(snapshot, path, prints.get(path, ""), generation, space) for path in missing]
                results.update(zip(missing, await self._run(loads), strict=True))
                space.seal()
        self._remember_failures(snapshot, prints, results)
        return _build(results, snapshot, basis, directory, generation, space)

    async def rebuild(self, stored: StoredSet, generation: int, *, check_isolated: bool = False) -> Build:
        """Build every character of a stored set, each from its own snapshot, without the disk."""
        with collector_paused():
            if check_isolated:
                for snapshot, paths in stored.paths.items():
                    await self._sandbox.check(snapshot, paths)
            spaces = {snapshot: self._open_space(snapshot, len(paths)) for snapshot, paths in stored.paths.items()}
            loads = [Load(m.snapshot, m.path, m.fingerprint, generation, spaces[m.snapshot]) for m in stored.members]
            results = dict(zip((load.path for load in loads), await self._run(loads), strict=True))
            for space in spaces.values():
                space.seal()
        latest, space = next(iter(spaces.items()))
        build = _build(results, latest, Basis(), stored.directory, generation, space)
        return replace(build, executed=len(build.characters))

    def _known(
        self, snapshot: Snapshot, path: str, prints: dict[str, str], basis: Basis
    ) -> Character | FileError | None:
        """Return the character of an unchanged file, or the error of its same bytes, if known."""
        character = basis.unchanged.get(display(path))
        if character is not None and character.fingerprint == prints.get(path):
            return character
        fingerprint, error = self._failures.get((snapshot.directory, path), (None, None))
        return error if basis.failures and fingerprint is not None and fingerprint == prints.get(path) else None

    def _open_space(self, snapshot: Snapshot, modules: int) -> ModuleSpace:
        space = ModuleSpace(snapshot)
        self._spaces.add(space)
        self._garbage.expect(space, modules, len(snapshot.files))
        return space

    async def _run(self, loads: list[Load]) -> list[Character | FileError]:
        outcomes = await self._pool.run_all(loads, self._file_deadline)
        _keep_standard_descriptors()
        return [load.result(outcome) for load, outcome in zip(loads, outcomes, strict=True)]

    def _remember_failures(
        self, snapshot: Snapshot, prints: dict[str, str], results: Mapping[str, Character | FileError | None]
    ) -> None:
        self._failures = {
            (snapshot.directory, path): (prints[path], result)
            for path, result in results.items()
            if isinstance(result, FileError) and path in prints
        }


def _build(
    results: Mapping[str, Character | FileError | None],
    snapshot: Snapshot,
    basis: Basis,
    directory: str,
    generation: int,
    space: ModuleSpace | None,
) -> Build:
    errors = [result for result in results.values() if isinstance(result, FileError)]
    kept = {error.file: basis.last_good[error.file] for error in errors if error.file in basis.last_good}
    loaded = [result for result in results.values() if isinstance(result, Character)]
    if kept:
        loaded = sorted([*loaded, *kept.values()], key=lambda character: character.file)
    characters, duplicates = _first_wins(loaded, snapshot)
    for error in duplicates:
        former = basis.last_good.get(error.file)
        if former is not None:
            characters.setdefault(former.name, former)
    errors.extend(error for error in duplicates if error.file not in kept)
    errors.sort(key=lambda error: error.file)
    executed = sum(character.modules is space for character in characters.values()) if space else 0
    return Build(CharacterSet(directory, generation, characters), tuple(errors), executed, space)


def _first_wins(loaded: list[Character], snapshot: Snapshot) -> tuple[dict[str, Character], list[FileError]]:
    """Keep the first character of each name, and return an error for each of the others."""
    characters: dict[str, Character] = {}
    errors = []
    for character in loaded:
        first = characters.setdefault(character.name, character)
        if first is not character:
            errors.append(duplicate(character.name, character.file, first.file, snapshot.files.get(character.file)))
    return characters, errors


def duplicate(name: str, file: str, first: str, source: SourceFile | None) -> FileError:
    """Return the error of *file*, whose name is taken by the file *first*."""
    text = f"{name!r} is already the CHARACTER_NAME of {first}; give one of them another name"
    line = line_of(source.text, "CHARACTER_NAME") if source else None
    return explain(DuplicateName(text, line, name), file, file)


def _keep_standard_descriptors() -> None:
    # A file may have closed one: the next socket would take its number, and receive all that is printed.
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
