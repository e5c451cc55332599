"""Where history is kept: what was attempted, and the bytes of the sets that served."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from charhost.character import Character, CharacterSet
from charhost.modules import ModuleSpace
from charhost.report import ReloadReport
from charhost.snapshot import Snapshot

MOST_SETS = 20
MOST_ATTEMPTS = 100


@dataclass(frozen=True, eq=False)
class Member:
    """One character of a set that served: its file, in the snapshot that it was built from.

    That is not always the snapshot of its set: one that did not change, or whose new version failed, comes from an
    earlier one. The whole snapshot is kept, because a file may import what no fingerprint knows of.
    """

    snapshot: Snapshot
    path: str
    fingerprint: str

    @classmethod
    def of(cls, character: Character) -> Member:
        """Say what *character* was made of; nothing of its build is held."""
        assert isinstance(character.lease, ModuleSpace)
        # The name of the file as it is on the disk: `file` is spelled for people.
        return cls(character.lease.snapshot, os.path.basename(character.location), character.fingerprint)


@dataclass(frozen=True, eq=False)
class StoredSet:
    """A set that served, as bytes: enough to make each of its characters again, in the same order.

    `disk` is the revision of what lay in the directory when the set began to serve; None if that could not be read.
    """

    generation: int
    directory: str
    revision: str
    members: tuple[Member, ...]
    disk: str | None = None

    @classmethod
    def of(cls, characters: CharacterSet, disk: Snapshot | None = None) -> StoredSet:
        """Say what *characters* are made of, and how the *disk* was at that time."""
        members = tuple(map(Member.of, characters.values()))
        revision = None if disk is None else disk.disk_revision
        return cls(characters.generation, characters.directory, characters.revision, members, revision)

    @property
    def paths(self) -> dict[Snapshot, list[str]]:
        """The files of its characters by the snapshot they were built from, the latest snapshot first."""
        paths: dict[Snapshot, list[str]] = {}
        for member in sorted(self.members, key=lambda member: -member.snapshot.taken):
            paths.setdefault(member.snapshot, []).append(member.path)
        return paths


class Store(Protocol):
    """Keeps history; a method that fails costs history, never a reload."""

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        """Keep the report of one attempt and, if it was applied, the set it put in place."""

    async def attempts(self, limit: int) -> tuple[ReloadReport, ...]:
        """Answer the reports of the last attempts, the newest first."""

    async def attempt(self, reload_id: str) -> ReloadReport | None:
        """Look one attempt up."""

    async def generations(self) -> tuple[int, ...]:
        """Answer the generations whose sets are kept, the newest first."""

    async def stored(self, generation: int) -> StoredSet | None:
        """Look up the set of one generation."""


class MemoryStore:
    """A store that lives as long as the application: the last 20 sets and the last 100 attempts.

    Snapshots share the files that did not change, so each content is held once.
    """

    def __init__(self) -> None:
        self._attempts: deque[ReloadReport] = deque(maxlen=MOST_ATTEMPTS)
        self._sets: OrderedDict[int, StoredSet] = OrderedDict()

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        """Keep the report of one attempt and, if it was applied, the set it put in place."""
        self._attempts.appendleft(report)
        if applied is not None:
            self._sets[applied.generation] = applied
            if len(self._sets) > MOST_SETS:
                self._sets.popitem(last=False)

    async def attempts(self, limit: int) -> tuple[ReloadReport, ...]:
        """Answer the reports of the last attempts, the newest first."""
        return tuple(islice(self._attempts, limit))

    async def attempt(self, reload_id: str) -> ReloadReport | None:
        """Look one attempt up."""
        return next((report for report in self._attempts if report.reload_id == reload_id), None)

    async def generations(self) -> tuple[int, ...]:
        """Answer the generations whose sets are kept, the newest first."""
        return tuple(reversed(self._sets))

    async def stored(self, generation: int) -> StoredSet | None:
        """Look up the set of one generation."""
        return self._sets.get(generation)
