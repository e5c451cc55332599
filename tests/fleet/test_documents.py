"""Documents that any node finds by their name."""

from __future__ import annotations

import asyncio

import pytest

from charhost.fleet.documents import Documents
from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.signature import Signature
from charhost.fleet.talks import talk_log
from tests.fleet.talks.helpers import SIGNATURE


@pytest.fixture
def one(store: MemoryStore) -> Documents:
    return Documents(MemoryEngine(store), SIGNATURE)


@pytest.fixture
def other(store: MemoryStore) -> Documents:
    return Documents(MemoryEngine(store), SIGNATURE)


async def content(documents: Documents, name: str) -> bytes | None:
    found = await documents.get(name)
    return found.content if found is not None else None


@pytest.mark.parametrize("size", [0, 1, talk_log.MOST_PART + 1])
async def test_a_document_is_found_at_another_node(one: Documents, other: Documents, size: int) -> None:
    """A document is read as it was written, also a long one; the last one of a name counts."""
    await one.put("a", b"before")
    await one.put("a", bytes(size))
    assert (await content(other, "a"), await content(other, "b")) == (bytes(size), None)


async def test_one_of_many_takes_it(one: Documents, other: Documents) -> None:
    """Of several callers that take a document one has it, and afterwards it is gone."""
    await one.put("a", b"x")
    taken = await asyncio.gather(*(documents.take("a") for documents in (one, other) * 3))
    assert sorted(taken) == [False] * 5 + [True]
    assert await content(one, "a") is None


async def test_a_document_of_strangers_is_none(store: MemoryStore, one: Documents) -> None:
    """What was not signed with the key of the fleet is neither read nor taken."""
    stranger = Documents(MemoryEngine(store), Signature("another key", "charhost"))
    await stranger.put("a", b"x")
    assert (await content(one, "a"), await one.take("a")) == (None, False)
    await one.put("a", b"y")
    assert await content(one, "a") == b"y"


async def test_what_was_taken_does_not_come_back(store: MemoryStore, one: Documents, other: Documents) -> None:
    """A copy of a signed document that was taken, written behind its end, is no document."""
    await one.put("a", b"x")
    (copy,) = store.messages("talk.a")
    assert await other.take("a")
    store.append("talk.a", copy.data, store.messages("talk.a")[-1].sequence, None)
    assert (await content(one, "a"), await one.take("a")) == (None, False)
