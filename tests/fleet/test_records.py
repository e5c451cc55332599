"""Signed records in the engine of a fleet."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from charhost.fleet.engine.engine import Conflict, Unavailable
from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.record import Register
from charhost.fleet.records import Found, Records
from charhost.fleet.signature import Signature
from charhost.metrics import FleetMetrics

SUBJECT = "state.desired"


def records_of(store: MemoryStore, key: str = "a key of sixteen") -> Records:
    return Records(MemoryEngine(store), Signature(key, "charhost"), FleetMetrics(CollectorRegistry()))


async def test_record_is_read_back(store: MemoryStore) -> None:
    """A record is found with its sequence, and no record is a sequence of 0."""
    records = records_of(store)
    assert await records.read(SUBJECT, Register) == Found()
    sequence = await records.write(SUBJECT, Register(epoch=4), 0)
    found = await records.read(SUBJECT, Register)
    assert (found.record, found.sequence, found.is_signed) == (Register(epoch=4), sequence, True)


async def test_record_of_another_key_counts_for_nothing(store: MemoryStore) -> None:
    """A record without the signature of the fleet is no record, but its place is taken."""
    sequence = await records_of(store, "another key").write(SUBJECT, Register(), 0)
    assert await records_of(store).read(SUBJECT, Register) == Found(None, sequence)


async def test_record_of_a_later_version_is_signed_and_not_read(store: MemoryStore) -> None:
    """A signed record that this version cannot read is known to be of the fleet."""
    data = Signature("a key of sixteen", "charhost").sign(SUBJECT, b'{"epoch": "soon"}')
    sequence = store.append(SUBJECT, data, 0, None)
    assert await records_of(store).read(SUBJECT, Register) == Found(None, sequence, is_signed=True)


async def test_record_is_not_written_over_a_newer_one(store: MemoryStore) -> None:
    """A record that was made from an older one is refused."""
    await records_of(store).write(SUBJECT, Register(), 0)
    with pytest.raises(Conflict):
        await records_of(store).write(SUBJECT, Register(), 0)


async def test_own_record_is_put_over_any_other(store: MemoryStore) -> None:
    """A record that only this node writes takes the place of one of its process before."""
    await records_of(store).put(SUBJECT, Register(epoch=1))
    await records_of(store).put(SUBJECT, Register(epoch=2))
    assert (await records_of(store).read(SUBJECT, Register)).record == Register(epoch=2)


async def test_two_processes_of_one_name_are_noticed(store: MemoryStore) -> None:
    """A subject that is always written by another process in between is given up."""
    records = records_of(store)

    async def interfere(request: str, subject: str, moment: str) -> None:
        if (request, moment) == ("write", "before"):
            store.append(subject, b"", len(store.messages(subject)) and store.messages(subject)[-1].sequence, None)

    engine = store.nodes[-1]
    engine.step = interfere
    with pytest.raises(Unavailable, match="written by another process"):
        await records.put(SUBJECT, Register())
