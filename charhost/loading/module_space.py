"""The private `characters` package of one build, imported from a snapshot and never from the disk.

Character files import their helpers as `characters.x`, also inside functions that run hours later, when another
build is current. So every build has a package of its own, `characters.b7`, and its modules a `__import__` that
turns `characters` into that package.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import weakref
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from charhost.character.calls import called
from charhost.character.character import Character, LoadedModules, version_of
from charhost.character.diagnostics import explain
from charhost.character.signatures import callable_alone
from charhost.character.validation import character_in
from charhost.loading import opened_files
from charhost.loading.character_metrics import CharacterMetrics
from charhost.loading.importer import FINDER, attributes_of
from charhost.loading.snapshot import Snapshot
from charhost.memory.collector import YOUNG, collect_young
from charhost.report import DEFAULT_SET, FileError
from charhost.text import ROOT, display

T = TypeVar("T")

_builds = itertools.count(1)


class ModuleSpace:
    """The modules of one build; they leave `sys.modules` when the last holder of this object is gone.

    Then *collect* is called with them, on any thread: they are cycles of references.
    Every `Version` of the build holds it. Nothing in the modules themselves may: a loader that referred to its
    space would keep both alive for ever.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        metrics: CharacterMetrics | None = None,
        collect: Callable[[list[ModuleType]], object] = list,
    ) -> None:
        self.build = next(_builds)
        self.snapshot = snapshot
        self._prefix = f"{ROOT}.b{self.build}"
        self._sources = FINDER.add(self._prefix, snapshot, metrics or CharacterMetrics())
        opened_files.begin(self._prefix, snapshot)
        self._loads = itertools.count(1)
        weakref.finalize(self, _retire, self._prefix, collect).atexit = False

    def load(self, path: str) -> ModuleType:
        if next(self._loads) % YOUNG == 0:  # the next one by itself would look at the objects of all files
            collect_young()
        name = self.snapshot.module_names[path]
        if name in self.snapshot.imported:
            return importlib.import_module(f"{self._prefix}.{name}")
        return self._sources.run(name)

    def seal(self) -> None:
        """End the build: from now on an import that failed is tried again, as Python does."""
        self._sources.failures = None
        opened_files.end(self._prefix)

    def take(self) -> None:
        """Note that a character of the build serves."""
        self._sources.is_taken = True

    def publish(self) -> None:
        """Let computed imports of `characters.x`, from anywhere, mean the modules of this build."""
        FINDER.publish(self._prefix)

    def unload(self, path: str, deadline: float) -> Unload | None:
        """Return the call of `on_unload` that the file at *path* is due; None if it has none, or had it."""
        function = self._sources.executed.pop(path, {}).get("on_unload")
        if function is None or path not in self.snapshot.character_paths:
            return None
        return Unload(self, path, function, deadline)

    def forget(self, path: str) -> None:
        """Have the file at *path* executed again by its next import."""
        name = self.snapshot.module_names[path]
        sys.modules.pop(f"{self._prefix}.{name}", None)
        with suppress(AttributeError):
            delattr(sys.modules[self._prefix], name)

    def end(self, path: str) -> None:
        """Take back the additions of the file at *path* to the process."""
        self._sources.end(path)

    def threads(self, path: str) -> weakref.WeakValueDictionary[int, Thread] | None:
        """Return the threads that the file at *path* has started, as long as they exist; None if it started none."""
        return self._sources.threads.get(path)

    @property
    def executed(self) -> int:
        """The number of its files whose modules it has."""
        return len(self._sources.executed)

    @property
    def unended(self) -> set[str]:
        """The files, helpers too, that were executed and not unloaded, or have started threads."""
        return {*self._sources.executed, *self._sources.threads}


def _retire(prefix: str, collect: Callable[[list[ModuleType]], object]) -> None:
    collect(FINDER.retire(prefix))


class Member(NamedTuple):
    """One character of a set that served: its file, in the snapshot it was built from, which may be an earlier one.

    The whole snapshot is kept, because a file may import modules that its fingerprint does not cover.
    """

    snapshot: Snapshot
    path: str
    fingerprint: str


class Version(LoadedModules):
    """One version of a character file in a build; it ends when no character and no load holds this object.

    `member` is its stored form, once it has served.
    """

    def __init__(self, space: ModuleSpace, path: str) -> None:
        self.space = space
        self.path = path
        self.member: Member | None = None

    def store(self, fingerprint: str) -> Member:
        # The path is that on the disk: `file` of a character is spelled for people.
        self.member = Member(self.space.snapshot, self.path, fingerprint)
        return self.member

    @property
    def helpers(self) -> Container[str]:
        return self.space.snapshot.modules


@dataclass(frozen=True, slots=True)
class Load:
    """A job that loads one file: to be called on a thread, under its deadline."""

    modules: Version
    fingerprint: str
    generation: int
    set_name: str = DEFAULT_SET

    @property
    def version(self) -> str:
        return version_of(self._snapshot.location(self.modules.path), self.fingerprint)

    def __call__(self) -> Character | FileError:
        path, snapshot = self.modules.path, self._snapshot
        if path in snapshot.unreadable:
            return self.result(snapshot.unreadable[path])
        try:
            return character_in(
                attributes_of(self.modules.space.load(path)),
                lambda: snapshot.files[path].text,
                file=display(path),
                location=snapshot.location(path),
                fingerprint=self.fingerprint,
                generation=self.generation,
                set_name=self.set_name,
                modules=self.modules,
            )
        except BaseException as e:  # a file may raise SystemExit, KeyboardInterrupt and anything else
            return self.result(e)

    def result(self, outcome: Character | FileError | BaseException) -> Character | FileError:
        """Return the character, or the error of the file; past the deadline that is a `LoadTimeout`."""
        return _explained(outcome, self.modules.path, self._snapshot)

    @property
    def _snapshot(self) -> Snapshot:
        return self.modules.space.snapshot


@dataclass(frozen=True)
class Unload:
    """A job that calls the `on_unload` of a file, once; it keeps the modules of the build until then."""

    space: ModuleSpace
    path: str
    function: Callable[[], Any]
    deadline: float

    @property
    def owner(self) -> str:
        return f"on_unload of {self.space.snapshot.location(self.path)}"

    def __call__(self) -> FileError | None:
        try:
            if callable_alone(self.function):  # else the file was refused for it
                called(self.function, deadline=self.deadline)
        except BaseException as e:
            return self.result(e)
        return None

    def result(self, outcome: FileError | BaseException | None) -> FileError | None:
        """Return the error of the call, if it failed; past the deadline that is a `LoadTimeout`."""
        return _explained(outcome, self.path, self.space.snapshot)


def _explained(outcome: T | BaseException, path: str, snapshot: Snapshot) -> T | FileError:
    if isinstance(outcome, BaseException):
        return explain(outcome, path, snapshot.location(path), snapshot.modules)
    return outcome
