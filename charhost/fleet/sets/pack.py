"""A stored set as blobs that each node can fetch, and back.

A *pack* has contents one after the other; the *manifest* lists the snapshots, where their contents lie, and the
characters; the *root* lists the parts of the manifest, and its digest names the set.
"""

import hashlib
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from charhost.errors import CharhostError
from charhost.loading.module_space import Member
from charhost.loading.snapshot import Limits, Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import StoredSet
from charhost.text import display

# Below the limit of a message of the stock server, 1 MiB, with room for its headers.
PACK_BYTES = 700_000


class Extent(NamedTuple):
    """A piece of a content: where it lies in which pack."""

    pack: str
    offset: int
    length: int


Places = Mapping[bytes, tuple[Extent, ...]]


class DamagedSet(CharhostError):
    """The blobs of a set are not those that its root names, or exceed the limits of this node."""


class DataMissing(DamagedSet):
    """A set needs data files that this node does not have."""


@dataclass(frozen=True)
class Packed:
    """The blobs of a set that the engine may lack, the last of them the root; and the place of each content."""

    root: str
    blobs: tuple[bytes, ...] = field(repr=False)
    places: Places = field(repr=False)


def pack(stored: StoredSet, known: Places) -> Packed:
    """Return the blobs of a set without the contents that are *known* to lie in the engine."""
    snapshots = list(stored.paths)
    contents = {file.digest: file.data for snapshot in snapshots for file in snapshot.files.values()}
    packs = list(_packs({digest: data for digest, data in contents.items() if digest not in known}))
    extents = _joined([placed for _, placed in packs])
    places = {digest: known[digest] if digest in known else extents.get(digest, ()) for digest in contents}
    manifest = zlib.compress(_manifest(stored, snapshots, places))
    parts = [manifest[start : start + PACK_BYTES] for start in range(0, len(manifest), PACK_BYTES)]
    root = _Root(parts=list(map(_digest, parts))).model_dump_json().encode()
    return Packed(_digest(root), (*(data for data, _ in packs), *parts, root), places)


def check_data(stored: StoredSet) -> None:
    """Raise `DataMissing` for the first data file of a set that is missing at this node."""
    for location, file in sorted(stored.needs.items()):
        if not os.path.isfile(location):
            text = f"{display(file)} opens {display(location)} while it is loaded, and there is no such file"
            raise DataMissing(f"{text}: data files do not travel")


class _Root(BaseModel, frozen=True):
    parts: list[str]


class _Layout(BaseModel, frozen=True):
    """A snapshot, as its differences from the one before."""

    directory: str
    changed: dict[str, str]
    gone: list[str]


class _Content(BaseModel, frozen=True):
    """The content of a manifest; `members` are the number of a snapshot, a path and a fingerprint each."""

    directory: str
    revision: str
    snapshots: list[_Layout]
    members: list[tuple[int, str, str]]
    needs: dict[str, str]
    places: dict[str, tuple[Extent, ...]]


def parts_of(root: bytes) -> list[str]:
    """Return the digests of the parts of the manifest."""
    try:
        return _Root.model_validate_json(root).parts
    except ValidationError as e:
        raise DamagedSet("the root of the set is no list of parts") from e


class Manifest:
    """The manifest of a set, read and checked against the limits of this node; raises `DamagedSet`."""

    def __init__(self, parts: Iterable[bytes], limits: Limits) -> None:
        # Each file takes some hundred bytes of it, at the most, for each of a few snapshots.
        reader = zlib.decompressobj()
        try:
            text = reader.decompress(b"".join(parts), max(1 << 24, 4096 * limits.files))
            self._found = _Content.model_validate_json(text)
            self.places = {bytes.fromhex(digest): extents for digest, extents in self._found.places.items()}
            self.directory = _path(self._found.directory)
            self._layouts = list(_layouts(self._found.snapshots))
        except (zlib.error, ValueError) as e:
            raise DamagedSet(f"the manifest of the set cannot be read: {type(e).__name__}") from e
        self._check(limits)

    def missing(self, known: "KnownFiles") -> set[str]:
        """Return the packs of the contents that this node does not have."""
        return {e.pack for digest, extents in self.places.items() if digest not in known for e in extents}

    def stored(self, generation: int, packs: Mapping[str, bytes], known: "KnownFiles") -> StoredSet:
        """Return the set; each content is compared with its digest."""
        contents = {digest: _content(digest, extents, packs) for digest, extents in self._new(known)}
        snapshots: list[Snapshot] = []
        taken = time.time_ns()
        for directory, layout in self._layouts:
            files = {path: known.file(directory, path, digest, contents) for path, digest in layout.items()}
            snapshots.append(known.snapshot(Snapshot(Path(directory), files, taken=taken)))
            taken = snapshots[-1].taken - 1
        try:
            members = tuple(Member(snapshots[at], _path(path), _path(mark)) for at, path, mark in self._found.members)
            needs = {_path(location): _path(file) for location, file in self._found.needs.items()}
            return StoredSet(generation, self.directory, self._found.revision, members, needs=needs)
        except (IndexError, ValueError) as e:
            raise DamagedSet(f"the manifest of the set cannot be read: {type(e).__name__}") from e

    def _new(self, known: "KnownFiles") -> Iterator[tuple[bytes, tuple[Extent, ...]]]:
        return ((digest, extents) for digest, extents in self.places.items() if digest not in known)

    def _check(self, limits: Limits) -> None:
        sizes = {digest: sum(extent.length for extent in extents) for digest, extents in self.places.items()}
        for directory, layout in self._layouts:
            if len(layout) > limits.files:
                raise DamagedSet(
                    f"{directory} has {len(layout):,} files; the limit here is {limits.files:,} (max_files)"
                )
            if not sizes.keys() >= set(layout.values()):
                raise DamagedSet("the manifest of the set does not have the place of each file")
            total = sum(sizes[digest] for digest in layout.values())
            if total > limits.bytes:
                raise DamagedSet(f"{directory} has {total:,} bytes; the limit here is {limits.bytes:,} (max_bytes)")


class KnownFiles:
    """The files and snapshots that this node holds: an unchanged file stays the same object, with its code."""

    def __init__(self, sets: Iterable[StoredSet] = ()) -> None:
        self._files: dict[tuple[str, bytes], SourceFile] = {}
        self._contents: dict[bytes, bytes] = {}
        self._snapshots: dict[tuple[str, str], Snapshot] = {}
        for snapshot in {snapshot for stored in sets for snapshot in stored.paths}:
            self._snapshots[str(snapshot.directory), snapshot.disk_revision] = snapshot
            for file in snapshot.files.values():
                self._files[file.location, file.digest] = file
                self._contents[file.digest] = file.data

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._contents

    def file(self, directory: str, path: str, digest: bytes, new: Mapping[bytes, bytes]) -> SourceFile:
        """Return a file, whose content this node has or is *new*."""
        location = os.path.join(directory, path)
        found = self._files.get((location, digest))
        if found is None:
            found = SourceFile.of(path, location, self._contents[digest] if digest in self._contents else new[digest])
            self._files[location, digest] = found
        return found

    def snapshot(self, read: Snapshot) -> Snapshot:
        """Return the equal snapshot that this node holds, or the one that was *read*."""
        return self._snapshots.setdefault((str(read.directory), read.disk_revision), read)


def _packs(contents: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, dict[bytes, list[Extent]]]]:
    """Yield the packs of contents, each with the extents that lie in it; a long content is cut."""
    data, inside = bytearray(), list[tuple[bytes, int, int]]()
    for digest, content in contents.items():
        start = 0
        while start < len(content):
            piece = content[start : start + PACK_BYTES - len(data)]
            inside.append((digest, len(data), len(piece)))
            data += piece
            start += len(piece)
            if len(data) >= PACK_BYTES:
                yield _placed(bytes(data), inside)
                data, inside = bytearray(), []
    if inside:
        yield _placed(bytes(data), inside)


def _placed(data: bytes, inside: list[tuple[bytes, int, int]]) -> tuple[bytes, dict[bytes, list[Extent]]]:
    name, extents = _digest(data), dict[bytes, list[Extent]]()
    for digest, offset, length in inside:
        extents.setdefault(digest, []).append(Extent(name, offset, length))
    return data, extents


def _joined(packs: Iterable[Mapping[bytes, list[Extent]]]) -> dict[bytes, tuple[Extent, ...]]:
    joined: dict[bytes, tuple[Extent, ...]] = {}
    for placed in packs:
        for digest, extents in placed.items():
            joined[digest] = (*joined.get(digest, ()), *extents)
    return joined


def _manifest(stored: StoredSet, snapshots: list[Snapshot], places: Places) -> bytes:
    """Return the manifest; each snapshot is written as its differences from the one before."""
    before: dict[str, str] = {}
    layouts: list[_Layout] = []
    for snapshot in snapshots:
        files = {_text(path): file.digest.hex() for path, file in snapshot.files.items()}
        changed = {path: digest for path, digest in files.items() if before.get(path) != digest}
        gone = [path for path in before if path not in files]
        layouts.append(_Layout(directory=_text(str(snapshot.directory)), changed=changed, gone=gone))
        before = files
    numbers = {snapshot: number for number, snapshot in enumerate(snapshots)}
    content = _Content(
        directory=_text(stored.directory),
        revision=stored.revision,
        snapshots=layouts,
        members=[(numbers[m.snapshot], _text(m.path), _text(m.fingerprint)) for m in stored.members],
        needs={_text(location): _text(file) for location, file in stored.opened.items()},
        places={digest.hex(): extents for digest, extents in places.items()},
    )
    return content.model_dump_json().encode()


def _layouts(snapshots: list[_Layout]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the directory of each snapshot, and the digest of each of its files."""
    files: dict[str, bytes] = {}
    for snapshot in snapshots:
        gone = set(map(_path, snapshot.gone))
        changed = {_path(path): bytes.fromhex(digest) for path, digest in snapshot.changed.items()}
        files = {path: digest for path, digest in files.items() if path not in gone} | changed
        yield _path(snapshot.directory), dict(sorted(files.items()))


def _content(digest: bytes, extents: Iterable[Extent], packs: Mapping[str, bytes]) -> bytes:
    if missing := {extent.pack for extent in extents} - packs.keys():
        raise DamagedSet(f"the engine lacks {len(missing)} of the blobs of the set")
    data = b"".join(packs[pack][offset : offset + length] for pack, offset, length in extents)
    if hashlib.sha256(data).digest() != digest:
        raise DamagedSet("a file of the set is not the one that its manifest names")
    return data


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# A path need not be UTF-8; JSON has to be.
def _text(path: str) -> str:
    return os.fsencode(path).decode("latin-1")


def _path(text: str) -> str:
    return os.fsdecode(text.encode("latin-1"))
