"""The replacement of one character set by another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from charhost.character.character import Character, CharacterSet
from charhost.report import Changes, SessionPolicy


@dataclass(frozen=True, eq=False)
class Swap:
    """One set replaces another; `policy` and `drain` apply to the open sessions."""

    before: CharacterSet
    after: CharacterSet
    policy: SessionPolicy
    drain: float = 0

    def affects(self, character: Character) -> bool:
        """Return whether the new set lacks an equal of *character*."""
        successor = self.after.get(character.name)
        return successor is None or successor.fingerprint != character.fingerprint

    @property
    def is_empty(self) -> bool:
        """Whether both sets have the same directory and the very same characters."""
        before, after = self.before, self.after
        same = all(before.get(name) is character for name, character in after.items())
        return same and len(after) == len(before) and Path(after.directory) == Path(before.directory)

    @property
    def changes(self) -> Changes:
        """The differences between the sets, by name."""
        before, after = self.before, self.after
        shared = [name for name in after if name in before]
        modified = tuple(name for name in shared if self.affects(before[name]))
        return Changes(
            added=tuple(name for name in after if name not in before),
            removed=tuple(name for name in before if name not in after),
            modified=modified,
            unchanged=len(shared) - len(modified),
        )
