"""The sets of one name in the engine of a fleet."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.sets.library import Library
from charhost.fleet.sets.pack import DamagedSet
from charhost.fleet.sets.packing import Packed, pack
from charhost.loading.stored_set import StoredSet
from charhost.metrics import FleetMetrics
from tests.fleet.sets.packed_sets import LIMITS, snapshot, stored_set

FIRST = snapshot({f"c{number:03}.py": b"x = %d" % number for number in range(100)})


def library_of(store: MemoryStore) -> Library:
    """Return the library of one more node."""
    return Library(MemoryEngine(store), LIMITS, FleetMetrics(CollectorRegistry()))


def saved(content: bytes) -> StoredSet:
    """Return the set of `changed` after one file was saved."""
    later = snapshot({path: file.data for path, file in FIRST.files.items()} | {"c007.py": content}, taken=2)
    first = stored_set(FIRST)
    members = [one._replace(snapshot=later) if one.path == "c007.py" else one for one in first.members]
    return replace(first, members=tuple(members))


def source(found: StoredSet) -> bytes:
    """Return the content of the file that was saved."""
    return next(one.snapshot.files[one.path].data for one in found.members if one.path == "c007.py")


async def stored(store: MemoryStore, packed: Packed) -> None:
    for blob in packed.blobs:
        await MemoryEngine(store).store_blob(blob)


async def test_another_node_fetches_a_set_and_its_base(store: MemoryStore) -> None:
    """A set that is described by its differences comes back whole at a node that has nothing of it."""
    author = library_of(store)
    last = await author.upload(stored_set(FIRST))
    root = await author.upload(saved(b"x = 'new'"), last)
    found = await library_of(store).fetch(root, 5)
    assert (found.generation, len(found.members), source(found)) == (5, 100, b"x = 'new'")


async def test_a_kept_set_is_not_fetched_again(store: MemoryStore) -> None:
    """The node that has stored a set needs no engine for it, until it relies on nothing any more."""
    author = library_of(store)
    root = await author.upload(stored_set(FIRST))
    store.lose()
    store.is_set_up = True
    assert len((await author.fetch(root, 1)).members) == 100
    author.forget()
    with pytest.raises(DamagedSet, match="lacks 1 of the blobs"):
        await author.fetch(root, 1)


async def test_a_base_that_is_a_difference_is_refused(store: MemoryStore) -> None:
    """A node reads at most two manifests for a set, whatever another one has stored."""
    whole = pack(stored_set(FIRST))
    difference = pack(saved(b"x = 'new'"), whole.packed)
    chained = pack(saved(b"x = 'newer'"), replace(difference.packed, base=None))
    for packed in (whole, difference, chained):
        await stored(store, packed)
    with pytest.raises(DamagedSet, match="a difference itself"):
        await library_of(store).fetch(chained.root, 1)
