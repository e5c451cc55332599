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
    """A job that loads one file: called on a thread, under its deadline."""

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
                modules=self.space,
            )
        except BaseException as e:  # a file may raise SystemExit, KeyboardInterrupt and anything else
            return self.result(e)

    def result(self, outcome: Character | FileError | BaseException) -> Character | FileError:
        """Return the character, or the error of the file; past the deadline that is a `LoadTimeout`."""
        if isinstance(outcome, BaseException):
            return explain(outcome, self.path, self.snapshot.location(self.path))
        return outcome
