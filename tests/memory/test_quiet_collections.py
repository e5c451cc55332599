"""QuietCollections: old garbage is collected when there is little work."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from charhost.memory.quiet_collections import QuietCollections

LIMIT = 180.0


class Ring:
    """An object in a cycle with itself."""

    def __init__(self, content: bytes = b"") -> None:
        self.own = self
        self.content = content


@pytest.fixture
async def collections(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[QuietCollections]:
    """Collections that are looked at often."""
    monkeypatch.setattr(QuietCollections, "_LOOK", 0.01)
    monkeypatch.setattr(QuietCollections, "_LATE", LIMIT)  # the machine may be busy
    gc.collect()
    found = QuietCollections()
    yield found
    found.close()


async def collected(ring: weakref.ref[Ring]) -> None:
    async with asyncio.timeout(LIMIT):
        while ring() is not None:
            await asyncio.sleep(0.01)


async def test_old_garbage_is_collected_in_a_quiet_moment(collections: QuietCollections) -> None:
    """A cycle that has outlived the collections of younger objects is freed once the process has little to do."""
    ring = weakref.ref(held := Ring())
    for _ in range(QuietCollections._DUE):
        gc.collect(1)
    del held
    await collected(ring)


async def test_old_garbage_is_collected_at_last_without_a_quiet_moment(
    collections: QuietCollections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load that does not cease, it is freed once there may be much of it."""
    collections._most = 20
    monkeypatch.setattr(QuietCollections, "_QUIET", -1.0)
    ring = weakref.ref(held := Ring())
    gc.collect(1)
    del held
    async with asyncio.timeout(LIMIT):
        while ring() is not None:
            gc.collect(1)
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
    in_use = bytearray()
    with closing(QuietCollections(lambda: len(in_use))) as collections:
        before = gc.get_stats()[2]["collections"]
        in_use.extend(b"x" * (QuietCollections._BYTES * 2))
        looked = collections._expected
        async with asyncio.timeout(LIMIT):
            while collections._expected == looked:
                await asyncio.sleep(0.01)
        assert gc.get_stats()[2]["collections"] == before


async def test_much_garbage_is_waited_for_less(collections: QuietCollections) -> None:
    """The more of the new objects were garbage, the sooner they are collected without a quiet moment."""
    collections._collect(100)
    assert collections._most == QuietCollections._MOST
    rings = [Ring() for _ in range(100_000)]
    del rings
    collections._collect(100)
    assert collections._most <= 20


async def test_interpreter_does_not_collect_everything_meanwhile(collections: QuietCollections) -> None:
    """However many collections of younger objects there were, the old ones are left alone; afterwards not."""
    assert gc.get_threshold()[2] > 1_000_000
    collections.close()
    assert gc.get_threshold()[2] < 1_000
