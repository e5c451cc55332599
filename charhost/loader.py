"""From a snapshot to characters, or one error for each file; changes nothing that runs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from weakref import WeakSet, finalize

from charhost.character import Character, CharacterSet, character_in
from charhost.deadline import Crew
from charhost.errors import DuplicateName
from charhost.failure import display, explain
from charhost.fingerprint import fingerprints
from charhost.modules import ModuleSpace
from charhost.report import FileError
from charhost.settings import Settings
from charhost.snapshot import Limits, Snapshot, take_snapshot


@dataclass(frozen=True, eq=False)
class Build:
    """What one attempt to load a snapshot came to."""

    characters: CharacterSet
    errors: tuple[FileError, ...]
    space: ModuleSpace


class Loader:
    """Reads directories and builds character sets, on the threads of its crew."""

    def __init__(self, settings: Settings, crew: Crew) -> None:
        self._crew = crew
        self._limits = Limits(settings.max_files, settings.max_bytes, settings.max_file_bytes)
        self._file_deadline = settings.file_deadline
        self._load_deadline = settings.load_deadline
        self._spaces: WeakSet[ModuleSpace] = WeakSet()
        self._garbage = _Garbage()

    @property
    def builds_alive(self) -> int:
        """How many builds have modules that something still holds."""
        return len(self._spaces)

    async def snapshot(self, directory: Path, earlier: Snapshot | None) -> Snapshot:
        """Read *directory*, taking from *earlier* what did not change; raises `DirectoryError`, `LoadTimeout`."""
        job = partial(take_snapshot, directory, self._limits, earlier)
        snapshot: Snapshot = await self._crew.run(job, self._load_deadline)
        return snapshot

    async def build(self, snapshot: Snapshot, directory: str, generation: int) -> Build:
        """Execute every character file of *snapshot* afresh, in modules of their own."""
        with _collector_paused():
            prints: dict[str, str] = await self._crew.run(partial(fingerprints, snapshot), self._load_deadline)
            space = ModuleSpace(snapshot)
            self._spaces.add(space)
            self._garbage.expect(space, len(snapshot.files))
            loads = [
                _Load(snapshot, path, prints.get(path, ""), generation, space) for path in snapshot.character_paths
            ]
            outcomes = await self._crew.run_all(loads, self._file_deadline)
            space.seal()
        results = [load.result(outcome) for load, outcome in zip(loads, outcomes, strict=True)]
        characters, duplicates = _first_wins([r for r in results if isinstance(r, Character)])
        errors = [*(r for r in results if isinstance(r, FileError)), *duplicates]
        errors.sort(key=lambda error: error.file)
        return Build(CharacterSet(directory, generation, characters), tuple(errors), space)


@dataclass(frozen=True)
class _Load:
    """The loading of one file: called on a thread, under its deadline."""

    snapshot: Snapshot
    path: str
    fingerprint: str
    generation: int
    space: ModuleSpace

    def __call__(self) -> Character | FileError:
        try:
            return self._character()
        except BaseException as e:  # a file may raise SystemExit, KeyboardInterrupt and anything else
            return self._explain(e)

    def result(self, outcome: Character | FileError | BaseException) -> Character | FileError:
        """Read what the crew answered: past the deadline that is an exception of its own."""
        return self._explain(outcome) if isinstance(outcome, BaseException) else outcome

    def _character(self) -> Character:
        if self.path in self.snapshot.unreadable:
            raise self.snapshot.unreadable[self.path]
        source: Callable[[], str] = lambda: self.snapshot.files[self.path].text  # noqa: E731
        return character_in(
            self.space.load(self.path),
            source,
            file=display(self.path),
            fingerprint=self.fingerprint,
            generation=self.generation,
            lease=self.space,
        )

    def _explain(self, error: BaseException) -> FileError:
        return explain(error, self.path, str(self.snapshot.directory / self.path))


def _first_wins(loaded: list[Character]) -> tuple[dict[str, Character], list[FileError]]:
    """Keep the first of each name, in the order of the files; the others become errors that name both files."""
    characters: dict[str, Character] = {}
    errors = []
    for character in loaded:
        first = characters.setdefault(character.name, character)
        if first is not character:
            message = f"{character.name!r} is already the CHARACTER_NAME of {first.file}; give one of them another name"
            errors.append(explain(DuplicateName(message, None, character.name), character.file, character.file))
    return characters, errors


class _Garbage:
    """The modules of retired builds: cycles, which only the garbage collector frees.

    By itself it waits until they are a quarter of all objects; a server that reloads often would grow by as much,
    and then stop for as long as freeing them takes. So it runs each time as much has retired as was last loaded.
    """

    # Seconds that let the answer of the reload go out first.
    _DELAY = 0.05

    def __init__(self) -> None:
        self._modules = 0
        self._newest = 0

    def expect(self, space: ModuleSpace, modules: int) -> None:
        """Count the modules of *space* when it retires."""
        self._newest = modules
        finalize(space, self._add, asyncio.get_running_loop(), modules).atexit = False

    def _add(self, loop: asyncio.AbstractEventLoop, modules: int) -> None:
        # Called wherever the last holder of the space was let go, on any thread.
        self._modules += modules
        if self._modules >= self._newest and not loop.is_closed():
            self._modules = 0
            loop.call_soon_threadsafe(loop.call_later, self._DELAY, gc.collect)


@contextmanager
def _collector_paused() -> Iterator[None]:
    # A build makes many objects and no garbage: collections in its middle only stop the event loop.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
