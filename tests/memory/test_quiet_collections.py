"""QuietCollections: new objects are collected in slices, and old garbage when there is little work."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import closing
from gc import freeze, unfreeze

import pytest

from charhost.memory.collector import collect_young, collector_paused, freeze_old
from charhost.memory.quiet_collections import QuietCollections

LIMIT = 180.0


class Ring:
    """An object in a cycle with itself."""

    def __init__(self, content: bytes = b"") -> None:
        self.own = self
        self.content = content


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
    """A cycle that has outlived a slice is freed once the process has little to do."""
    ring = weakref.ref(held := Ring())
    for _ in range(QuietCollections._DUE):
        gc.collect()
    del held
    gc.collect()
    assert ring() is not None
    await collected(ring)


async def test_old_garbage_is_collected_at_last_without_a_quiet_moment(
    collections: QuietCollections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load that does not cease, it is freed once there may be much of it."""
    collections._most = 20
    monkeypatch.setattr(QuietCollections, "_QUIET", -1.0)
    ring = weakref.ref(held := Ring())
    gc.collect()
    del held
    async with asyncio.timeout(LIMIT):
        while ring() is not None:
            gc.collect()
            await asyncio.sleep(0)


async def test_few_objects_that_hold_much_are_waited_for_less(
    collections: QuietCollections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old garbage is freed under load as soon as the process has grown by as much as may wait."""
    monkeypatch.setattr(QuietCollections, "_QUIET", -1.0)
    ring = weakref.ref(held := Ring(b"x" * (QuietCollections._BYTES * 2)))
    gc.collect(1)
    del held
    await collected(ring)


async def test_memory_that_is_in_use_is_no_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the budget accounts for is not looked through each time that it grows."""
    monkeypatch.setattr(QuietCollections, "_LOOK", 0.01)
    monkeypatch.setattr(QuietCollections, "_QUIET", -1.0)
    looks: list[QuietCollections] = []
    monkeypatch.setattr(QuietCollections, "_collect", looks.append)
    in_use = bytearray()
    with closing(QuietCollections(lambda: len(in_use))) as collections:
        in_use.extend(b"x" * (QuietCollections._BYTES * 2))
        await looked(collections)
    assert looks == []


async def test_much_garbage_is_waited_for_less(collections: QuietCollections) -> None:
    """The more of the new objects were garbage, the sooner they are collected without a quiet moment."""
    collections._slices = 300
    collections._collect()
    assert collections._most == QuietCollections._MOST
    rings = [Ring() for _ in range(100_000)]
    gc.freeze()
    del rings
    collections._slices = 100
    collections._collect()
    assert collections._most <= 20


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


async def test_what_is_made_while_the_collector_is_paused_is_no_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory that a build of many characters takes is not looked through, in its middle or after it."""
    monkeypatch.setattr(QuietCollections, "_LOOK", 0.01)
    monkeypatch.setattr(QuietCollections, "_QUIET", -1.0)
    looks: list[QuietCollections] = []
    monkeypatch.setattr(QuietCollections, "_collect", looks.append)
    with closing(QuietCollections()) as collections:
        with collector_paused():
            made = b"x" * (QuietCollections._BYTES * 2)
            await looked(collections)
        await looked(collections)
    assert (looks, len(made)) == ([], QuietCollections._BYTES * 2)
