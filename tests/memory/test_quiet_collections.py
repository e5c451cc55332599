"""QuietCollections: new objects are collected in slices, and old garbage when there is little work."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncIterator
from contextlib import closing
from gc import freeze, unfreeze

import pytest

from charhost.memory import quiet_collections
from charhost.memory.collector import collect_young, collector_paused, freeze_old
from charhost.memory.quiet_collections import QuietCollections

LIMIT = 180.0


class Ring:
    """An object in a cycle with itself."""

    def __init__(self, content: bytes = b"") -> None:
        self.own = self
        self.content = content


def rings_of(blocks: int) -> tuple[weakref.ref[Ring], list[Ring]]:
    """Return as many rings as need more than so many blocks, and a reference to one of them."""
    rings = [Ring() for _ in range(blocks)]
    return weakref.ref(rings[0]), rings


@pytest.fixture
async def collections(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[QuietCollections]:
    """Collections that are looked at often; they freeze objects indeed, which other tests do not."""
    monkeypatch.setattr(gc, "freeze", freeze)
    monkeypatch.setattr(gc, "unfreeze", unfreeze)
    monkeypatch.setattr(QuietCollections, "_LOOK", 0.01)
    monkeypatch.setattr(QuietCollections, "_LATE", LIMIT)  # the machine may be busy
    gc.collect()
    found = QuietCollections()
    yield found
    if freeze_old in gc.callbacks:
        found.close()
    freeze()  # as before


async def collected(ring: weakref.ref[Ring]) -> None:
    async with asyncio.timeout(LIMIT):
        while ring() is not None:
            await asyncio.sleep(0.01)


async def looked(collections: QuietCollections) -> None:
    """Wait for the next look."""
    before = collections._expected
    async with asyncio.timeout(LIMIT):
        while collections._expected == before:
            await asyncio.sleep(0.01)


async def test_old_garbage_is_collected_in_a_quiet_moment(collections: QuietCollections) -> None:
    """Cycles that have outlived a slice are freed once there is little to do, and as much has grown."""
    ring, rings = rings_of(collections._BLOCKS + sys.getallocatedblocks() // 16)
    gc.collect()
    del rings
    gc.collect()
    assert ring() is not None
    await collected(ring)


async def test_old_garbage_is_collected_at_last_without_a_quiet_moment(
    collections: QuietCollections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load that does not cease, it is freed once there may be much of it."""
    monkeypatch.setattr(QuietCollections, "_QUIET", -1.0)
    ring, rings = rings_of(2 * (collections._BLOCKS + sys.getallocatedblocks() // 16))
    gc.collect()
    del rings
    await collected(ring)


async def test_garbage_is_collected_although_a_character_has_turned_the_collector_off(
    collections: QuietCollections,
) -> None:
    """A file that calls `gc.disable` and never `gc.enable` does not have the process grow for good."""
    gc.disable()
    try:
        ring, rings = rings_of(2 * (collections._BLOCKS + sys.getallocatedblocks() // 16))
        del rings
        await collected(ring)
    finally:
        gc.enable()


async def test_little_garbage_waits(collections: QuietCollections, monkeypatch: pytest.MonkeyPatch) -> None:
    """A growth that is small beside what is in use has nothing looked at, in quiet moments neither."""
    ring, rings = rings_of(collections._BLOCKS // 8)
    gc.collect()
    del rings
    await looked(collections)
    await looked(collections)
    assert ring() is not None


async def test_few_objects_that_hold_much_are_waited_for_less(
    collections: QuietCollections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old garbage is freed under load as soon as the process has grown by as many bytes as may wait."""
    monkeypatch.setattr(QuietCollections, "_QUIET", -1.0)
    ring = weakref.ref(held := Ring(b"x" * (QuietCollections._BYTES * 2)))
    gc.collect(1)
    del held
    await collected(ring)


@pytest.mark.parametrize("size", [QuietCollections._BYTES * 2, 1])
async def test_memory_that_is_in_use_is_no_garbage(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """What the budget accounts for, in few objects or in many, is not looked through each time that it grows."""
    looks = list[None]()
    monkeypatch.setattr(QuietCollections, "_LOOK", 0.01)
    monkeypatch.setattr(QuietCollections, "_QUIET", -1.0)
    monkeypatch.setattr(quiet_collections, "collect_everything", lambda: looks.append(None))
    in_use: list[bytes] = []
    with closing(QuietCollections(lambda: sum(map(len, in_use)))) as collections:
        blocks = 3 * (collections._BLOCKS + sys.getallocatedblocks() // 16) if size == 1 else 1
        in_use.extend(bytes([65]) * max(size, collections._HELD_BLOCK) + b"x" for _ in range(blocks))
        await looked(collections)
        await looked(collections)
    assert looks == []


async def test_a_build_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the collector is paused, as in a build of many characters, nothing is collected."""
    looks = list[None]()
    monkeypatch.setattr(QuietCollections, "_LOOK", 0.01)
    monkeypatch.setattr(quiet_collections, "collect_everything", lambda: looks.append(None))
    with closing(QuietCollections()) as collections:
        with collector_paused():
            made = b"x" * (QuietCollections._BYTES * 2)
            await looked(collections)
            await looked(collections)
            assert looks == []
        await looked(collections)
        await looked(collections)
    assert (len(looks) > 0, len(made)) == (True, QuietCollections._BYTES * 2)


async def test_memory_does_not_grow_by_garbage_that_is_made_again_and_again(
    collections: QuietCollections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage that takes the place of garbage is found as the first was: it is memory in use that counts."""
    monkeypatch.setattr(QuietCollections, "_QUIET", -1.0)
    for _ in range(3):
        ring, rings = rings_of(2 * (collections._BLOCKS + sys.getallocatedblocks() // 16))
        gc.collect()
        del rings
        await collected(ring)


async def test_a_slice_does_not_look_at_what_earlier_ones_have_left(collections: QuietCollections) -> None:
    """However many objects are in use, the interpreter itself collects among a few thousand new ones."""
    looks, used = list[int](), list[list[int]]()

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            looks.append(sum(len(gc.get_objects(generation)) for generation in range(3)))

    gc.callbacks.insert(0, note)
    try:
        for _ in range(300_000):
            used.append([])
    finally:
        gc.callbacks.remove(note)
    assert len(looks) > 5
    assert max(looks) < 10_000


async def test_what_a_build_has_made_is_looked_at_once(collections: QuietCollections) -> None:
    """What `collect_young` has looked at is in no slice."""
    made: list[list[int]] = [[] for _ in range(100)]
    collect_young()
    looked_at = {id(one) for generation in range(3) for one in gc.get_objects(generation)}
    assert looked_at.isdisjoint(map(id, made))


async def test_everything_is_thawed_at_the_end(collections: QuietCollections) -> None:
    """Afterwards the collector is as before."""
    thresholds = collections._thresholds
    collections.close()
    assert (freeze_old in gc.callbacks, gc.get_freeze_count(), gc.get_threshold()) == (False, 0, thresholds)
