from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace

from charhost.character.character import CharacterSet
from charhost.loading.data_file import ABSENT, STATE
from charhost.loading.module_space import Member, Version
from charhost.loading.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class StoredSet:
    """A set that served, as bytes: enough to make each of its characters again, in the same order.

    `disk` is the revision of the directory when the set began to serve; None if that could not be read. `needs` are the
    data files that it needs where it comes from another machine: the location of each, and the file that opens it.
    """

    generation: int
    directory: str
    revision: str
    members: tuple[Member, ...]
    disk: str | None = None
    needs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, characters: CharacterSet, disk: Snapshot | None = None) -> StoredSet:
        """Return the stored form of *characters*; *disk* is the snapshot of that time."""
        versions = [(character.modules, character.fingerprint) for character in characters.values()]
        members = [one.member or one.store(mark) for one, mark in versions if isinstance(one, Version)]
        on_disk = disk.disk_revision if disk else None
        return cls(characters.generation, characters.directory, characters.revision, tuple(members), on_disk)

    def without(self, paths: Container[str]) -> StoredSet:
        """Return the set without the characters of these files."""
        return replace(self, members=tuple(member for member in self.members if member.path not in paths))

    @property
    def opened(self) -> dict[str, str]:
        """The data files that its files have opened here while they were loaded, as in `needs`."""
        found: dict[str, str] = {}
        for snapshot, members in self.paths.items():
            others = {*snapshot.character_paths} - {*members}
            for file in (one for one in snapshot.files.values() if one.opened and one.path not in others):
                exist = (path for path in tuple(file.opened) if snapshot.data.get(path, ABSENT) not in (ABSENT, STATE))
                found |= {snapshot.location(path): file.path for path in exist}
        return found

    @property
    def paths(self) -> dict[Snapshot, list[str]]:
        """The files of its characters by the snapshot they were built from, the latest snapshot first."""
        paths: dict[Snapshot, list[str]] = {}
        for member in sorted(self.members, key=lambda member: -member.snapshot.taken):
            paths.setdefault(member.snapshot, []).append(member.path)
        return paths


def snapshots_of(characters: CharacterSet) -> set[Snapshot]:
    """Return the snapshots that characters were built from."""
    versions = (character.modules for character in characters.values())
    return {version.space.snapshot for version in versions if isinstance(version, Version)}
