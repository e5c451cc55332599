"""A manifest is checked before the contents that it names are fetched."""

from __future__ import annotations

import pytest

from charhost.fleet.sets.known_files import KnownFiles
from charhost.fleet.sets.manifest import Manifest
from charhost.fleet.sets.pack import DamagedSet
from charhost.fleet.sets.packing import pack
from charhost.loading.snapshot import Limits
from tests.fleet.sets.packed_sets import LIMITS, listing_of, snapshot, stored_set


def test_a_missing_pack_is_named() -> None:
    """What the engine has lost is no empty file."""
    packed = pack(stored_set(snapshot({"ada.py": b"x = 1"})))
    manifest = Manifest(listing_of(packed), None, LIMITS)
    with pytest.raises(DamagedSet, match="lacks 1 of the blobs"):
        manifest.packed(packed.root, {}, KnownFiles())


@pytest.mark.parametrize(("limits", "name"), [(Limits(1, 100, 100), "max_files"), (Limits(9, 3, 100), "max_bytes")])
def test_a_set_above_the_limits_of_this_node_is_refused_before_its_bytes_are_fetched(limits: Limits, name: str) -> None:
    """The manifest alone shows that a set is too large here."""
    packed = pack(stored_set(snapshot({"ada.py": b"12", "bob.py": b"34"})))
    listing = listing_of(packed)
    with pytest.raises(DamagedSet, match=name):
        Manifest(listing, None, limits)


def test_a_difference_counts_with_its_base() -> None:
    """A file more than the limit is one too many, although it is the only one that is listed."""
    files = {f"c{number}.py": b"1" for number in range(20)}
    base = pack(stored_set(snapshot(files)))
    more = pack(stored_set(snapshot(files | {"more.py": b"2"}, taken=2)), base.packed)
    listing = listing_of(more)
    assert listing.base == base.root
    with pytest.raises(DamagedSet, match="21 files"):
        Manifest(listing, base.packed, Limits(20, 100, 100))


def test_a_content_without_a_place_is_refused() -> None:
    """A manifest that names a content of its base, and is read without it, is damaged."""
    files = {f"c{number}.py": b"1" for number in range(20)}
    base = pack(stored_set(snapshot(files)))
    more = pack(stored_set(snapshot(files | {"more.py": b"1"}, taken=2)), base.packed)
    with pytest.raises(DamagedSet, match="place of each file"):
        Manifest(listing_of(more), None, LIMITS)
