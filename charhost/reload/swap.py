"""One set replaced by another."""

from __future__ import annotations

from dataclasses import dataclass

from charhost.character.character import Character, CharacterSet
from charhost.report import Changes, SessionPolicy


@dataclass(frozen=True, eq=False)
class Swap:
    """One set takes the place of another, and what is to become of the sessions."""

    before: CharacterSet
    after: CharacterSet
    policy: SessionPolicy
    drain: float = 0

    def affects(self, character: Character) -> bool:
        """Say whether the new set has no equal of *character*."""
        successor = self.after.get(character.name)
        return successor is None or successor.fingerprint != character.fingerprint

    @property
    def changes(self) -> Changes:
        """How the sets differ, by name."""
        before, after = self.before, self.after
        shared = [name for name in after if name in before]
        modified = tuple(name for name in shared if self.affects(before[name]))
        return Changes(
            added=tuple(name for name in after if name not in before),
            removed=tuple(name for name in before if name not in after),
            modified=modified,
            unchanged=len(shared) - len(modified),
        )
