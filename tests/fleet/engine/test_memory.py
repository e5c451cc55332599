"""The faults of the engine in memory."""

import asyncio

import pytest

from charhost.fleet.engine.engine import NotSetUp, Unavailable
from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.hints import Hints


async def test_a_cut_node_reads_and_writes_nothing(store: MemoryStore) -> None:
    """Requests of a cut node fail until it is healed, and then its listeners are called."""
    node, hints = MemoryEngine(store), Hints()
    node.on_hint("desired", hints.notify)
    node.cut()
    with pytest.raises(Unavailable):
        await node.write("state.desired", b"x", 0)
    node.heal()
    assert await node.read("state.desired") is None
    assert hints.count == 1


async def test_what_was_written_before_a_cut_is_stored(store: MemoryStore) -> None:
    """A cut between the write and its return leaves the message, and its writer without knowledge."""
    node, other = MemoryEngine(store), MemoryEngine(store)

    async def step(request: str, subject: str, moment: str) -> None:
        if moment == "after":
            node.cut()

    node.step = step
    with pytest.raises(Unavailable):
        await node.write("state.desired", b"x", 0)
    assert await other.read("state.desired") is not None


async def test_a_paused_node_goes_on_where_it_stood(store: MemoryStore) -> None:
    """A request of a paused node is carried out when it goes on."""
    node = MemoryEngine(store)
    node.pause()
    writing = asyncio.create_task(node.write("state.desired", b"x", 0))
    await asyncio.sleep(0.01)
    assert not writing.done()
    node.go_on()
    assert await writing == 1


async def test_a_deaf_node_hears_no_hints(store: MemoryStore) -> None:
    """A node whose hints are lost reads all the same."""
    node, hints = MemoryEngine(store, hears=False), Hints()
    node.on_hint("desired", hints.notify)
    await node.write("state.desired", b"x", 0)
    assert await hints.wait(0, 0.01) == 0
    assert await node.read("state.desired") is not None


async def test_a_lost_store_begins_anew(store: MemoryStore) -> None:
    """Without its store nothing can be read or written, until it is set up again."""
    node = MemoryEngine(store)
    await node.write("state.desired", b"x", 0)
    store.lose()
    with pytest.raises(NotSetUp):
        await node.read("state.desired")
    await node.setup()
    assert await node.write("state.desired", b"y", 0) == 1


async def test_a_damaged_blob_is_not_returned(store: MemoryStore) -> None:
    """A blob whose bytes do not have its digest is as good as missing."""
    node = MemoryEngine(store)
    digest = await node.store_blob(b"x")
    store.damage(f"bytes.{digest}", b"y")
    assert await node.load_blobs([digest]) == {}
