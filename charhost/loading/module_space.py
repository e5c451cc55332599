"""The private `characters` package of one build, imported from a snapshot and never from the disk.

Character files import their helpers as `characters.x`, also inside functions that run hours later, when another
build is current. So every build has a package of its own, `characters.b7`, and its modules a `__import__` that
turns `characters` into that package.
"""

import gc
import importlib
import itertools
import weakref
from collections.abc import Callable, Container
from dataclasses import dataclass
from types import ModuleType

from charhost.character.character import Character, LoadedModules
from charhost.character.diagnostics import explain
from charhost.character.validation import character_in
from charhost.loading import opened_files
from charhost.loading.character_metrics import CharacterMetrics
from charhost.loading.importer import FINDER
from charhost.loading.snapshot import Snapshot
from charhost.report import FileError
from charhost.text import ROOT, display

_builds = itertools.count(1)

# So many files make objects for a collection of a millisecond. It is made while they are loaded, and off the event
# loop: the next one that begins by itself would have the objects of all files to look at.
_YOUNG = 500


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
        if next(self._loads) % _YOUNG == 0:
            gc.collect(1)
        name = self.snapshot.module_names[path]
        if name in self.snapshot.imported:
            return importlib.import_module(f"{self._prefix}.{name}")
        return self._sources.run(name)

    def seal(self) -> None:
        """End the build: from now on an import that failed is tried again, as Python does."""
        self._sources.failures = None
        opened_files.end(self._prefix)

    def end(self, path: str) -> None:
        """Take back what the file at *path* has added to the process."""
        self._sources.end(path)

    def publish(self) -> None:
        """Let computed imports of `characters.x`, from anywhere, mean the modules of this build."""
        FINDER.publish(self._prefix)


def _retire(prefix: str, collect: Callable[[list[ModuleType]], object]) -> None:
    collect(FINDER.retire(prefix))


class Version(LoadedModules):
    """One executed version of a character file, which ends when no character and no load holds this object."""

    def __init__(self, space: ModuleSpace, path: str) -> None:
        self.space = space
        self._path = path

    def __del__(self) -> None:
        self.space.end(self._path)

    @property
    def helpers(self) -> Container[str]:
        return self.space.snapshot.modules


@dataclass(frozen=True)
class Load:
    """A job that loads one file: to be called on a thread, under its deadline."""

    snapshot: Snapshot
    path: str
    fingerprint: str
    generation: int
    space: ModuleSpace

    def __call__(self) -> Character | FileError:
        if self.path in self.snapshot.unreadable:
            return self.result(self.snapshot.unreadable[self.path])
        try:
            return character_in(
                self.space.load(self.path),
                lambda: self.snapshot.files[self.path].text,
                file=display(self.path),
                location=self.snapshot.location(self.path),
                fingerprint=self.fingerprint,
                generation=self.generation,
                modules=Version(self.space, self.path),
            )
        except BaseException as e:  # a file may raise SystemExit, KeyboardInterrupt and anything else
            return self.result(e)

    def result(self, outcome: Character | FileError | BaseException) -> Character | FileError:
        """Return the character, or the error of the file; past the deadline that is a `LoadTimeout`."""
        if isinstance(outcome, BaseException):
            return explain(outcome, self.path, self.snapshot.location(self.path), self.snapshot.modules)
        return outcome
