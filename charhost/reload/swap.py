"""The replacement of one character set by another, and the open sessions that it may affect."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from charhost.character.character import Character, CharacterSet
from charhost.report import DEFAULT_SET, Changes, SessionImpact, SessionPolicy

log = logging.getLogger("charhost.reload")


@dataclass(frozen=True, eq=False)
class Swap:
    """The characters of one set are replaced; `policy` and `drain` apply to its open sessions.

    With `removes` the set itself is removed.
    """

    before: CharacterSet
    after: CharacterSet
    policy: SessionPolicy
    drain: float = 0
    set: str = DEFAULT_SET
    removes: bool = False

    def affects(self, character: Character) -> bool:
        """Return whether the new set lacks an equal of *character*."""
        successor = self.after.characters.get(character.name)
        return successor is None or successor.fingerprint != character.fingerprint

    @property
    def is_empty(self) -> bool:
        """Whether both sets have the same directory and the very same characters."""
        before, after = self.before, self.after
        return before.characters == after.characters and Path(after.directory) == Path(before.directory)

    @property
    def changes(self) -> Changes:
        before, after = self.before.characters, self.after.characters
        added = tuple([name for name in after if name not in before])
        others = [name for name, character in after.items() if before.get(name, character) is not character]
        modified = tuple(name for name in others if self.affects(before[name]))
        return Changes(
            added=added,
            removed=tuple([name for name in before if name not in after]),
            modified=modified,
            unchanged=len(after) - len(added) - len(modified),
        )


class OpenSessions(Protocol):
    """The sessions that a swap may affect."""

    def impact(self, swap: Swap) -> SessionImpact:
        """Return the effect that *swap* has, or would have."""

    def follow(self, swap: Swap) -> None:
        """Start to apply *swap*; must not wait for any session."""


class NoSessions:
    """The sessions of a manager without a server."""

    def impact(self, swap: Swap) -> SessionImpact:
        return SessionImpact(policy=swap.policy)

    def follow(self, swap: Swap) -> None:
        pass


def notify(sessions: OpenSessions, swap: Swap) -> None:
    """Start to apply *swap* to the sessions; a failure is only logged, because the set has been replaced."""
    try:
        sessions.follow(swap)
    except Exception:
        log.exception("not all sessions could be notified of a character reload")
