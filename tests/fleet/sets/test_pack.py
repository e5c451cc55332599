"""A set goes into blobs and comes back the same."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charhost.fleet.sets.pack import PACK_BYTES, DamagedSet, KnownFiles, Manifest, Packed, Places, pack, parts_of
from charhost.loading.module_space import Member
from charhost.loading.snapshot import Limits, Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import StoredSet

LIMITS = Limits(files=100, bytes=64 << 20, file_bytes=1 << 20)
paths = st.sampled_from(["ada.py", "bob.py", "resources/voice.py", os.fsdecode(b"caf\xe9.py"), "été.py"])
contents = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"x" * PACK_BYTES, b"y" * (PACK_BYTES + 5)]))


def snapshot(files: dict[str, bytes], directory: str = "/characters", taken: int = 1) -> Snapshot:
    """Return a snapshot of these files."""
    made = {path: SourceFile.of(path, os.path.join(directory, path), data) for path, data in sorted(files.items())}
    return Snapshot(Path(directory), made, taken=taken)


def stored_set(*snapshots: Snapshot, directory: str = "/characters") -> StoredSet:
    """Return a set with every file of the snapshots, the later ones first."""
    members = tuple(Member(one, path, f"sha256:{path}") for one in snapshots for path in one.files)
    return StoredSet(3, directory, "sha256:1", members)


def blobs_of(packed: Packed) -> dict[str, bytes]:
    return {hashlib.sha256(data).hexdigest(): data for data in packed.blobs}


def unpacked(packed: Packed, blobs: dict[str, bytes], known: KnownFiles | None = None) -> StoredSet:
    """Return the set as a node makes it that fetches what it lacks."""
    known = known or KnownFiles()
    manifest = Manifest([blobs[part] for part in parts_of(blobs[packed.root])], LIMITS)
    return manifest.stored(3, {name: blobs[name] for name in manifest.missing(known)}, known)


def layout(stored: StoredSet) -> list[tuple[str, str, str, dict[str, bytes]]]:
    """Return everything that a set is made of."""
    return [
        (m.path, m.fingerprint, str(m.snapshot.directory), {p: f.data for p, f in m.snapshot.files.items()})
        for m in stored.members
    ]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.dictionaries(paths, contents, min_size=1), min_size=1, max_size=3))
def test_a_set_comes_back_as_it_was(layouts: list[dict[str, bytes]]) -> None:
    """Any files of any snapshots come back, in the same order, and no blob is larger than a message may be."""
    stored = stored_set(*(snapshot(files, taken=-at) for at, files in enumerate(layouts)))
    packed = pack(stored, {})
    found = unpacked(packed, blobs_of(packed))
    assert (found.directory, found.revision, layout(found)) == ("/characters", "sha256:1", layout(stored))
    assert all(len(blob) <= PACK_BYTES for blob in packed.blobs)
    assert {one.disk_revision for one in found.paths} == {one.disk_revision for one in stored.paths}


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(paths, contents, min_size=1), st.dictionaries(paths, contents, min_size=1))
def test_only_new_contents_travel(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """What the engine has is not packed again, and what a node has is not fetched again and stays the same object."""
    earlier = pack(stored_set(snapshot(before)), {})
    packed = pack(stored_set(snapshot(after)), earlier.places)
    new = set(after.values()) - set(before.values()) - {b""}
    assert sum(map(len, packed.blobs[:-2])) == sum(map(len, new))
    held = unpacked(earlier, blobs_of(earlier))
    known = KnownFiles([held])
    found = unpacked(packed, blobs_of(packed) | blobs_of(earlier), known)
    files = held.members[0].snapshot.files
    for path, file in found.members[0].snapshot.files.items():
        if path in files and files[path].digest == file.digest:
            assert file is files[path]


def test_an_equal_snapshot_stays_the_same_object() -> None:
    """A snapshot that a node holds is not made a second time."""
    stored = stored_set(snapshot({"ada.py": b"1"}))
    packed = pack(stored, {})
    assert unpacked(packed, blobs_of(packed), KnownFiles([stored])).members[0].snapshot is stored.members[0].snapshot


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"x = 2"])
def test_a_damaged_blob_is_never_executed(which: int, damage: bytes) -> None:
    """A wrong pack, manifest or root is refused, whatever its bytes are."""
    packed = pack(stored_set(snapshot({"ada.py": b"x = 1"})), {})
    names = list(blobs_of(packed))
    with pytest.raises(DamagedSet):
        unpacked(packed, blobs_of(packed) | {names[which]: damage})


def test_a_missing_pack_is_named() -> None:
    """What the engine has lost is no empty file."""
    packed = pack(stored_set(snapshot({"ada.py": b"x = 1"})), {})
    manifest = Manifest(packed.blobs[1:-1], LIMITS)
    with pytest.raises(DamagedSet, match="lacks 1 of the blobs"):
        manifest.stored(3, {}, KnownFiles())


@pytest.mark.parametrize(("limits", "name"), [(Limits(1, 100, 100), "max_files"), (Limits(9, 3, 100), "max_bytes")])
def test_a_set_above_the_limits_of_this_node_is_refused_before_its_bytes_are_fetched(limits: Limits, name: str) -> None:
    """The manifest alone shows that a set is too large here."""
    packed = pack(stored_set(snapshot({"ada.py": b"12", "bob.py": b"34"})), {})
    with pytest.raises(DamagedSet, match=name):
        Manifest(packed.blobs[1:-1], limits)


def test_places_of_an_earlier_set_are_used_again() -> None:
    """A set that is packed twice needs no pack the second time, but its manifest and root, which are the same."""
    stored = stored_set(snapshot({"ada.py": b"1"}))
    first = pack(stored, {})
    places: Places = first.places
    assert pack(stored, places).blobs == first.blobs[1:]
