"""Small sets, packed and unpacked as nodes do it."""

from __future__ import annotations

import os
from pathlib import Path

from charhost.fleet.sets.known_files import KnownFiles
from charhost.fleet.sets.manifest import Listing, Manifest, PackedSet
from charhost.fleet.sets.pack import name_of
from charhost.fleet.sets.packing import Packed, Root
from charhost.loading.module_space import Member
from charhost.loading.snapshot import Limits, Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import StoredSet

LIMITS = Limits(files=200, bytes=64 << 20, file_bytes=1 << 20)


def snapshot(files: dict[str, bytes], directory: str = "/characters", taken: int = 1) -> Snapshot:
    """Return a snapshot of these files."""
    made = {path: SourceFile.of(path, os.path.join(directory, path), data) for path, data in sorted(files.items())}
    return Snapshot(Path(directory), made, taken=taken)


def stored_set(*snapshots: Snapshot, directory: str = "/characters") -> StoredSet:
    """Return a set with every file of the snapshots, each from the latest one that has it, which is the first."""
    latest = {path: one for one in reversed(snapshots) for path in one.files}
    members = tuple(Member(one, path, f"sha256:{path}") for path, one in latest.items())
    return StoredSet(3, directory, "sha256:1", members)


def blobs_of(*packed: Packed) -> dict[str, bytes]:
    return {name_of(data): data for one in packed for data in one.blobs}


def listing_of(packed: Packed, blobs: dict[str, bytes] | None = None) -> Listing:
    """Return the content of the manifest of a set."""
    found = blobs or blobs_of(packed)
    root = Root.read(found[packed.root])
    return Listing.read([*(found[part] for part in root.parts), root.rest], LIMITS)


def unpacked(
    packed: Packed, blobs: dict[str, bytes], known: KnownFiles | None = None, base: PackedSet | None = None
) -> PackedSet:
    """Return the set as a node makes it that fetches what it lacks."""
    known = known or KnownFiles()
    manifest = Manifest(listing_of(packed, blobs), base, LIMITS)
    return manifest.packed(packed.root, {name: blobs[name] for name in manifest.missing(known)}, known)
