"""Manifests: the snapshots of a set, where their contents lie, and its characters.

One that is a difference from the manifest of another set, its base, has only what is new. A base is whole.
"""

from __future__ import annotations

import os
import time
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from charhost.fleet.sets.known_files import KnownFiles
from charhost.fleet.sets.pack import DamagedSet, Extent, Places, content_of, names_of
from charhost.loading.module_space import Member
from charhost.loading.snapshot import Limits, Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import StoredSet

# Most of a manifest are digests, which a higher level compresses no further.
_LEVEL = 1


@dataclass(frozen=True, eq=False)
class PackedSet:
    """A set as the engine has it: its snapshots by their numbers in the manifest, and the place of each content."""

    root: str
    stored: StoredSet
    snapshots: tuple[Snapshot, ...] = field(repr=False)
    places: Places = field(repr=False)
    base: PackedSet | None = field(default=None, repr=False)

    @property
    def whole(self) -> PackedSet:
        """The set that a difference from this one can be described by."""
        return self.base or self


class _Layout(BaseModel, frozen=True):
    """A snapshot, as its differences from the one before; the first one from the newest of the base."""

    directory: str
    changed: dict[str, str]
    gone: list[str]


class Listing(BaseModel, frozen=True):
    """The content of a manifest.

    `snapshots` are numbered after those of the base. `members` are fingerprints by path, all of which are built from
    the snapshot of the number `most`, without `others`.
    """

    base: str | None = None
    directory: str
    revision: str
    snapshots: list[_Layout]
    members: dict[str, str]
    gone: list[str]
    most: int
    others: dict[str, int]
    needs: dict[str, str]
    places: dict[str, tuple[Extent, ...]]

    @classmethod
    def of(cls, stored: StoredSet, snapshots: Collection[Snapshot], places: Places, base: PackedSet | None) -> Listing:
        numbers = {snapshot: number for number, snapshot in enumerate(snapshots)}
        built = {member.path: numbers[member.snapshot] for member in stored.members}
        most = max(Counter(built.values()).items(), key=lambda one: one[1], default=(0, 0))[0]
        before = {member.path: member.fingerprint for member in base.stored.members} if base is not None else {}
        new = [member for member in stored.members if before.get(member.path) != member.fingerprint]
        known = base.places if base is not None else {}
        return cls.model_construct(
            base=base.root if base is not None else None,
            directory=_text(stored.directory),
            revision=stored.revision,
            snapshots=list(_layouts(list(snapshots), len(base.snapshots) if base is not None else 0)),
            members={_text(member.path): _text(member.fingerprint) for member in new},
            gone=[_text(path) for path in before if path not in built],
            most=most,
            others={_text(path): number for path, number in built.items() if number != most},
            needs={_text(location): _text(file) for location, file in stored.opened.items()},
            places={digest.hex(): extents for digest, extents in places.items() if digest not in known},
        )

    @classmethod
    def read(cls, parts: Iterable[bytes], limits: Limits) -> Listing:
        """Return the content of a manifest; raises `DamagedSet`."""
        # Each file takes some hundred bytes of it, at the most, for each of a few snapshots.
        reader = zlib.decompressobj()
        try:
            return cls.model_validate_json(reader.decompress(b"".join(parts), max(1 << 24, 4096 * limits.files)))
        except (zlib.error, ValueError) as e:
            raise _unreadable(e) from e

    @property
    def encoded(self) -> bytes:
        return zlib.compress(self.model_dump_json().encode(), _LEVEL)

    @property
    def size(self) -> int:
        """The number of its entries."""
        files = sum(len(layout.changed) + len(layout.gone) for layout in self.snapshots)
        return files + len(self.members) + len(self.gone) + len(self.others)

    @property
    def packs(self) -> set[str]:
        """The packs that it names."""
        return {extent.pack for extents in self.places.values() for extent in extents}


class _Step(NamedTuple):
    """A snapshot, as its differences from the one before."""

    directory: str
    changed: Mapping[str, bytes]
    gone: Collection[str]


class Manifest:
    """A manifest that was read, checked against the limits of this node; raises `DamagedSet`."""

    def __init__(self, listing: Listing, base: PackedSet | None, limits: Limits) -> None:
        self._listing = listing
        self._base = base
        self._before = base.snapshots[:1] if base is not None else ()
        try:
            new = {bytes.fromhex(digest): extents for digest, extents in listing.places.items()}
            self._places = {**(base.places if base is not None else {}), **new}
            self._directory = _path(listing.directory)
            self._steps = list(_steps(listing.snapshots))
        except ValueError as e:
            raise _unreadable(e) from e
        self._check(limits)

    def missing(self, known: KnownFiles) -> set[str]:
        """Return the packs of the contents that this node does not have."""
        return names_of(self._places, self._new(known))

    def packed(self, root: str, packs: Mapping[str, bytes], known: KnownFiles) -> PackedSet:
        """Return the set; each content is compared with its digest."""
        contents = {digest: content_of(digest, self._places[digest], packs) for digest in self._new(known)}
        snapshots = [*(self._base.snapshots if self._base is not None else ()), *self._snapshots(contents, known)]
        try:
            members = tuple(self._members(snapshots))
            needs = {_path(location): _path(file) for location, file in self._listing.needs.items()}
        except (IndexError, ValueError) as e:
            raise _unreadable(e) from e
        stored = StoredSet(0, self._directory, self._listing.revision, members, needs=needs)
        return PackedSet(root, stored, tuple(snapshots), self._places, self._base)

    def _new(self, known: KnownFiles) -> set[bytes]:
        return {digest for step in self._steps for digest in step.changed.values() if digest not in known}

    def _snapshots(self, contents: Mapping[bytes, bytes], known: KnownFiles) -> Iterator[Snapshot]:
        """Yield the snapshots that the base does not have."""
        taken, before = time.time_ns(), dict(self._before[0].files) if self._before else {}
        at = str(self._before[0].directory) if self._before else ""
        for directory, changed, gone in self._steps:
            if directory != at:
                before = {path: known.moved(directory, file) for path, file in before.items()}
            files: dict[str, SourceFile] = {path: file for path, file in before.items() if path not in gone}
            files |= {path: known.file(directory, path, digest, contents) for path, digest in changed.items()}
            before, at = dict(sorted(files.items())), directory
            snapshot = known.snapshot(Snapshot(Path(directory), before, taken=taken))
            yield snapshot
            taken = snapshot.taken - 1

    def _members(self, snapshots: list[Snapshot]) -> Iterator[Member]:
        listing, gone = self._listing, set(map(_path, self._listing.gone))
        before = self._base.stored.members if self._base is not None else ()
        prints = {member.path: member.fingerprint for member in before if member.path not in gone}
        prints |= {_path(path): _path(fingerprint) for path, fingerprint in listing.members.items()}
        others = {_path(path): number for path, number in listing.others.items()}
        for path, fingerprint in prints.items():
            yield Member(snapshots[others.get(path, listing.most)], path, fingerprint)

    def _check(self, limits: Limits) -> None:
        sizes = {path: len(file.data) for one in self._before for path, file in one.files.items()}
        for directory, changed, gone in self._steps:
            if not self._places.keys() >= set(changed.values()):
                raise DamagedSet("the manifest of the set does not have the place of each file")
            new = {path: sum(extent.length for extent in self._places[digest]) for path, digest in changed.items()}
            sizes = {path: size for path, size in sizes.items() if path not in gone} | new
            if len(sizes) > limits.files:
                most = f"the limit here is {limits.files:,} (max_files)"
                raise DamagedSet(f"{directory} has {len(sizes):,} files; {most}")
            if (total := sum(sizes.values())) > limits.bytes:
                raise DamagedSet(f"{directory} has {total:,} bytes; the limit here is {limits.bytes:,} (max_bytes)")


def _layouts(snapshots: list[Snapshot], known: int) -> Iterator[_Layout]:
    """Yield the snapshots after the first *known*, each as its differences from the one before."""
    before: Mapping[str, SourceFile] = snapshots[0].files if known else {}
    for snapshot in snapshots[known:]:
        changed = {
            _text(path): file.digest.hex()
            for path, file in snapshot.files.items()
            if (old := before.get(path)) is not file and (old is None or old.digest != file.digest)
        }
        gone = [_text(path) for path in before if path not in snapshot.files]
        yield _Layout.model_construct(directory=_text(str(snapshot.directory)), changed=changed, gone=gone)
        before = snapshot.files


def _steps(layouts: Iterable[_Layout]) -> Iterator[_Step]:
    for layout in layouts:
        changed = {_path(path): bytes.fromhex(digest) for path, digest in layout.changed.items()}
        yield _Step(_path(layout.directory), changed, set(map(_path, layout.gone)))


def _unreadable(error: Exception) -> DamagedSet:
    return DamagedSet(f"the manifest of the set cannot be read: {type(error).__name__}")


# A path need not be UTF-8; JSON has to be.
def _text(path: str) -> str:
    return os.fsencode(path).decode("latin-1")


def _path(text: str) -> str:
    return os.fsdecode(text.encode("latin-1"))
