"""A set goes into blobs and comes back the same."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charhost.fleet.sets.known_files import KnownFiles
from charhost.fleet.sets.pack import PACK_BYTES, DamagedSet
from charhost.fleet.sets.packing import Root, pack
from charhost.loading.module_space import Member
from charhost.loading.stored_set import StoredSet
from tests.fleet.sets.packed_sets import blobs_of, snapshot, stored_set, unpacked

paths = st.sampled_from(["ada.py", "bob.py", "resources/voice.py", os.fsdecode(b"caf\xe9.py"), "été.py"])
contents = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"x" * PACK_BYTES, b"y" * (PACK_BYTES + 5)]))


def layout(stored: StoredSet) -> list[tuple[str, str, str, dict[str, bytes]]]:
    """Return everything that a set is made of."""
    return [
        (m.path, m.fingerprint, str(m.snapshot.directory), {p: f.data for p, f in m.snapshot.files.items()})
        for m in stored.members
    ]


@settings(max_examples=40)
@given(st.lists(st.dictionaries(paths, contents, min_size=1), min_size=1, max_size=3))
def test_a_set_comes_back_as_it_was(layouts: list[dict[str, bytes]]) -> None:
    """Any files of any snapshots come back, in the same order, and no blob is larger than a message may be."""
    stored = stored_set(*(snapshot(files, taken=-at) for at, files in enumerate(layouts)))
    packed = pack(stored)
    found = unpacked(packed, blobs_of(packed)).stored
    assert (found.directory, found.revision, layout(found)) == ("/characters", "sha256:1", layout(stored))
    assert all(len(blob) <= PACK_BYTES for blob in packed.blobs)
    assert {one.disk_revision for one in found.paths} == {one.disk_revision for one in stored.paths}


@settings(max_examples=40)
@given(st.dictionaries(paths, contents, min_size=1), st.dictionaries(paths, contents, min_size=1))
def test_only_new_contents_travel(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """What the engine has is not packed again, and what a node has is not fetched again and stays the same object."""
    earlier = pack(stored_set(snapshot(before)))
    packed = pack(stored_set(snapshot(after)), earlier.packed)
    new = set(after.values()) - set(before.values()) - {b""}
    assert sum(map(len, packed.blobs[:-1])) == sum(map(len, new))
    held = unpacked(earlier, blobs_of(earlier))
    found = unpacked(packed, blobs_of(packed, earlier), KnownFiles(held.snapshots), held).stored
    files = held.snapshots[0].files
    for path, file in found.members[0].snapshot.files.items():
        if path in files and files[path].digest == file.digest:
            assert file is files[path]


def test_a_damaged_root_is_refused() -> None:
    """A root is checked, as all blobs are."""
    for damage in (b"", b"[]", b"{}", b"x = 2", b'{"parts": [], "rest": "a"}'):
        with pytest.raises(DamagedSet):
            Root.read(damage)


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"x = 2"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_damaged_blob_is_never_executed(which: int, damage: bytes) -> None:
    """A wrong pack or manifest is refused, whatever its bytes are."""
    packed = pack(stored_set(snapshot({f"c{number}.py": b"%d" % number for number in range(200)})))
    names = list(blobs_of(packed))
    with pytest.raises(DamagedSet):
        unpacked(packed, blobs_of(packed) | {names[which]: damage})


def test_a_set_that_is_packed_again_needs_no_pack() -> None:
    """Its manifest is an empty difference."""
    stored = stored_set(snapshot({"ada.py": b"1"}))
    again = pack(stored, pack(stored).packed)
    assert len(again.blobs) == 1
    assert layout(unpacked(again, blobs_of(again), base=again.packed.base).stored) == layout(stored)


MANY = {f"c{number:03}.py": b"x = %d" % number for number in range(100)}


class TestDifference:
    """A set of which few characters are new, on the set that serves."""

    first = snapshot(MANY)
    whole = pack(stored_set(first))

    def changed(self, new: dict[str, bytes], taken: int = 2) -> StoredSet:
        """Return the set of `changed` after some files were saved: all others are of the first snapshot."""
        later = snapshot(MANY | new, taken=taken)
        members = [Member(later if path in new else self.first, path, f"sha256:{path}") for path in later.files]
        prints = [Member(m.snapshot, m.path, f"sha256:{taken}") if m.path in new else m for m in members]
        return StoredSet(3, "/characters", "sha256:2", tuple(prints))

    def test_a_saved_file_moves_alone(self) -> None:
        """Its content, and a manifest that names nothing else, travel."""
        stored = self.changed({"c007.py": b"x = 'new'"})
        content, root = pack(stored, self.whole.packed).blobs
        assert content == b"x = 'new'"
        assert len(root) < 500

    def test_it_comes_back_as_it_was(self) -> None:
        """The unchanged snapshots and files stay the same objects."""
        stored = self.changed({"c007.py": b"x = 'new'", "c100.py": b"x = 'more'"})
        packed = pack(stored, self.whole.packed)
        held = unpacked(self.whole, blobs_of(self.whole))
        found = unpacked(packed, blobs_of(packed), KnownFiles(held.snapshots), held)
        assert layout(found.stored) == layout(stored)
        old, new = found.snapshots
        assert old is held.snapshots[0]
        assert new.files["c001.py"] is old.files["c001.py"]

    def test_a_difference_follows_a_difference(self) -> None:
        """Each is described on the whole set, so that a node which joins needs two manifests at the most."""
        second = pack(self.changed({"c007.py": b"1"}), self.whole.packed)
        third = pack(self.changed({"c007.py": b"1", "c008.py": b"2"}, 3), second.packed)
        assert third.packed.base is self.whole.packed
        assert third.blobs[0] == b"2"
        held = unpacked(self.whole, blobs_of(self.whole))
        found = unpacked(third, blobs_of(second, third), KnownFiles(held.snapshots), held)
        assert found.snapshots[-1].files["c007.py"].data == b"1"

    def test_all_characters_that_are_built_again_are_no_difference(self) -> None:
        """A set whose characters are all of a new snapshot is described as shortly."""
        later = snapshot(MANY | {"c007.py": b"new"}, taken=2)
        packed = pack(stored_set(later), self.whole.packed)
        assert packed.packed.base is self.whole.packed
        assert len(packed.blobs[1]) < 500

    def test_a_file_that_is_gone(self) -> None:
        """It is neither in the snapshot nor among the characters."""
        left = {path: data for path, data in MANY.items() if path != "c007.py"}
        stored = stored_set(snapshot(left, taken=2))
        packed = pack(stored, self.whole.packed)
        assert packed.packed.base is self.whole.packed
        assert layout(unpacked(packed, {**blobs_of(packed)}, base=self.whole.packed).stored) == layout(stored)

    def test_another_directory(self) -> None:
        """Its files are those of the base at other locations, without a byte of them."""
        stored = stored_set(snapshot(MANY, "/elsewhere", taken=2), directory="/elsewhere")
        packed = pack(stored, self.whole.packed)
        found = unpacked(packed, blobs_of(packed), KnownFiles(self.whole.packed.snapshots), self.whole.packed)
        assert len(packed.blobs) == 1
        assert found.snapshots[-1].files["c007.py"].location == "/elsewhere/c007.py"
        assert layout(found.stored) == layout(stored)

    def test_many_new_characters_make_a_whole_manifest(self) -> None:
        """The next differences are short again."""
        stored = self.changed(dict.fromkeys(list(MANY)[:30], b"new"))
        packed = pack(stored, self.whole.packed)
        assert packed.packed.base is None
        assert packed.blobs[0] == b"new"
