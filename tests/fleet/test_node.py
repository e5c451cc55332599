"""One node of a fleet, and the others as it sees them."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.node import STATUS_TTL, Node
from charhost.fleet.record import NodeStatus
from charhost.fleet.records import Records
from charhost.fleet.signature import Signature
from charhost.metrics import FleetMetrics
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    store = MemoryStore(clock)
    store.is_set_up = True
    return store


def status(name: str, **fields: object) -> NodeStatus:
    return NodeStatus.model_validate(
        {"node": name, "instance": name, "version": "1", "url": "", "sessions": 0, **fields}
    )


def node(store: MemoryStore, name: str) -> Node:
    engine, metrics = MemoryEngine(store), FleetMetrics(CollectorRegistry())
    records = Records(engine, Signature("a key of sixteen", "charhost"), metrics)
    return Node(name, name, records, metrics, 10, 5, engine, lambda: status(name))


async def announced(*nodes: Node) -> None:
    """Have each node write its first status."""
    for one in nodes:
        announcing = asyncio.create_task(one.announce())
        while one.name not in await one.records.names("state.node"):
            await asyncio.sleep(0)
        announcing.cancel()
        await asyncio.wait([announcing])


async def test_announced_nodes_see_each_other(store: MemoryStore) -> None:
    """A node that has announced itself is alive for the others, and this one always is."""
    one, other = node(store, "n1"), node(store, "n2")
    await announced(one)
    assert set(await other.alive()) == {"n1", "n2"}
    assert await other.living(["n1", "n2", "n3"]) == {"n1"}


async def test_silent_node_is_gone_after_a_while(store: MemoryStore, clock: Clock) -> None:
    """A node that announces nothing more does not count any longer, and before that its age is known."""
    one, other = node(store, "n1"), node(store, "n2")
    await announced(one)
    clock.now = 4.0
    await announced(other)
    assert {name: age for name, (_, age) in (await other.seen()).items()} == {"n1": 4.0, "n2": 0.0}
    clock.now = STATUS_TTL + 1.0
    assert set(await other.seen()) == {"n2"}


async def test_node_that_leaves_is_gone_at_once(store: MemoryStore) -> None:
    """No rollout waits for a node that has left."""
    one, other = node(store, "n1"), node(store, "n2")
    await announced(one)
    await one.leave()
    assert await other.living(["n1"]) == set()


async def test_status_without_the_signature_is_none(store: MemoryStore) -> None:
    """A node that is gone does not live because of what a writer without the key puts in the place of its status."""
    other = node(store, "n2")
    store.append("state.node.n1", b"n1 lives", 0, None)
    assert await other.living(["n1"]) == set()


async def test_nodes_are_counted_by_their_state(store: MemoryStore) -> None:
    """The gauge has each state, also one that no node is in."""
    one = node(store, "n1")
    one.describe = lambda: status("n1", leaving=True)
    await one.alive()
    counts = {sample.labels["state"]: sample.value for found in one.metrics.nodes.collect() for sample in found.samples}
    assert (counts["leaving"], counts["serving"]) == (1, 0)


def test_pauses_are_near_the_setting(store: MemoryStore) -> None:
    """Nodes do not look at the register together: each draws its pauses."""
    one = node(store, "n1")
    pauses = [one.pause for _ in range(10)]
    assert len(set(pauses)) > 1
    assert all(4 <= pause <= 6 for pause in pauses)
