"""The loading of one file."""

from __future__ import annotations

from dataclasses import dataclass

from charhost.character.character import Character
from charhost.character.diagnostics import explain
from charhost.character.validation import character_in
from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Snapshot
from charhost.report import FileError
from charhost.text import display


@dataclass(frozen=True)
class Load:
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
        """Return the character, or the error of the file; past the deadline that is a `LoadTimeout`."""
        return self._explain(outcome) if isinstance(outcome, BaseException) else outcome

    def _character(self) -> Character:
        if self.path in self.snapshot.unreadable:
            found = self.snapshot.unreadable[self.path]
            # Another one: an exception keeps the frames it was raised in, and with them the build.
            raise OSError(found.errno, found.strerror, found.filename)
        return character_in(
            self.space.load(self.path),
            self._source,
            file=display(self.path),
            location=self._location,
            fingerprint=self.fingerprint,
            generation=self.generation,
            modules=self.space,
        )

    def _source(self) -> str:
        return self.snapshot.files[self.path].text

    def _explain(self, error: BaseException) -> FileError:
        return explain(error, self.path, self._location)

    @property
    def _location(self) -> str:
        return str(self.snapshot.directory / self.path)
