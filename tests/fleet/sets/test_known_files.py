"""The files that a node holds stay the same objects."""

from __future__ import annotations

from charhost.fleet.sets.known_files import KnownFiles
from charhost.fleet.sets.packing import pack
from tests.fleet.sets.packed_sets import blobs_of, snapshot, stored_set, unpacked


def test_an_equal_snapshot_stays_the_same_object() -> None:
    """A snapshot that a node holds is not made a second time."""
    stored = stored_set(snapshot({"ada.py": b"1"}))
    packed = pack(stored)
    found = unpacked(packed, blobs_of(packed), KnownFiles(list(stored.paths)))
    assert found.snapshots[0] is stored.members[0].snapshot


def test_a_file_of_another_directory_has_another_location() -> None:
    """Its content is the same, and its code is compiled for its own location."""
    file = snapshot({"ada.py": b"1"}).files["ada.py"]
    known = KnownFiles()
    moved = known.moved("/elsewhere", file)
    assert (moved.path, moved.location, moved.data) == ("ada.py", "/elsewhere/ada.py", b"1")
    assert known.moved("/elsewhere", file) is moved
