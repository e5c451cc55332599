"""Conversations in the engine: what is saved, who may resume it, and whose writes are refused."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

import pytest

from charhost.fleet.engine.engine import Unavailable
from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.signature import Signature
from charhost.fleet.talks import talk as module
from charhost.fleet.talks import talk_log
from charhost.fleet.talks.talk import TalkArchive
from charhost.fleet.talks.talk_log import fold
from tests.fleet.talks.helpers import OWNER, SIGNATURE, archive, said, saved, talk, words
from tests.scripted import message

AddNode = Callable[[], tuple[MemoryEngine, TalkArchive]]

SUBJECT = "talk.sess_1"


@pytest.fixture
def node(store: MemoryStore) -> AddNode:
    """Return a function that adds a node."""

    def add() -> tuple[MemoryEngine, TalkArchive]:
        engine = MemoryEngine(store)
        return engine, archive(engine)

    return add


@pytest.fixture
def one(store: MemoryStore) -> TalkArchive:
    return archive(MemoryEngine(store))


@pytest.fixture
def other(store: MemoryStore) -> TalkArchive:
    return archive(MemoryEngine(store))


async def test_a_turn_writes_only_its_own_items(store: MemoryStore, one: TalkArchive, other: TalkArchive) -> None:
    """What was saved before is not written again, and another node reads all of it."""
    items = talk("a long text" * 100)
    await one.save(saved(items))
    await one.save(saved([*items, *talk("b")]))
    assert len(store.messages(SUBJECT)[-1].data) < 800
    assert words(store) == ["a long text" * 100, "b"]


async def test_a_released_conversation_takes_no_memory(
    store: MemoryStore, one: TalkArchive, other: TalkArchive
) -> None:
    """Its items are gone from the node, which writes all of it if it is saved again; others resume it as before."""
    items = talk("a", "b")
    await one.save(saved(items))
    before = sys.getrefcount(items[0])
    one.release("sess_1")
    after = sys.getrefcount(items[0])
    assert after == before - 1
    await one.save(saved(items[1:]))
    assert words(store) == ["b"]
    one.release("sess_1")
    assert said(await one.claim("sess_1", OWNER)) == ["b"]
    assert said(await other.claim("sess_1", OWNER)) == ["b"]


async def test_nothing_new_writes_nothing(store: MemoryStore, one: TalkArchive) -> None:
    """A conversation that has not changed is not written."""
    items = talk("a")
    await one.save(saved(items))
    await one.save(saved(items))
    assert len(store.messages(SUBJECT)) == 1


async def test_items_that_were_dropped_are_gone(store: MemoryStore, one: TalkArchive, other: TalkArchive) -> None:
    """A conversation is what is left after items were dropped, and others were put before them."""
    a, b, c = talk("a", "b", "c")
    await one.save(saved([a, b, c]))
    await one.save(saved([a, c]))
    await one.save(saved([*talk("0"), c, a]))
    assert words(store) == ["0", "c", "a"]


async def test_all_of_a_session_is_resumed(one: TalkArchive, other: TalkArchive) -> None:
    """The character, the settings and the owner come back as they were."""
    before = saved(talk("a"))
    await one.save(before)
    found = await other.claim("sess_1", OWNER)
    assert found is not None
    assert (found.character, found.owner, found.config, found.conversation_id, found.dialect, found.set) == (
        (before.character, before.owner, before.config, before.conversation_id, before.dialect, before.set)
    )
    assert found.items == before.items


async def test_a_write_after_a_claim_is_refused(store: MemoryStore, one: TalkArchive, other: TalkArchive) -> None:
    """The node that had the session learns at its next write that it is lost, and changes nothing."""
    items = talk("a")
    lost: list[str] = []
    one.on_lost = lost.append
    await one.save(saved(items))
    claimed = await other.claim("sess_1", OWNER)
    await one.save(saved([*items, *talk("too late")]))
    assert (one.is_lost("sess_1"), lost, said(claimed)) == (True, ["sess_1"], ["a"])
    assert words(store) == ["a"]


async def test_a_lost_session_is_never_written_again(store: MemoryStore, one: TalkArchive, other: TalkArchive) -> None:
    """Further saves of a lost session, and its end, leave the session of the other node alone."""
    await one.save(saved(talk("a")))
    await other.claim("sess_1", OWNER)
    for _ in range(2):
        await one.save(saved(talk("too late")))
    await one.forget("sess_1")
    assert words(store) == ["a"]


async def test_an_end_after_a_claim_is_refused(store: MemoryStore, one: TalkArchive, other: TalkArchive) -> None:
    """A node that drops a session which another one has resumed does not end it."""
    await one.save(saved(talk("a")))
    await other.claim("sess_1", OWNER)
    await one.forget("sess_1")
    assert words(store) == ["a"]


async def test_a_hint_tells_the_old_node_at_once(one: TalkArchive, other: TalkArchive) -> None:
    """The node that had the session learns of the claim without a write."""
    lost = asyncio.Event()
    one.on_lost = lambda session: lost.set()
    await one.save(saved(talk("a")))
    await other.claim("sess_1", OWNER)
    await asyncio.wait_for(lost.wait(), 30)


async def test_the_old_node_may_claim_it_back(one: TalkArchive, other: TalkArchive) -> None:
    """A session may go to another node and come back, each time with all that was added."""
    items = talk("a")
    await one.save(saved(items))
    there = await other.claim("sess_1", OWNER)
    assert there is not None
    await other.save(saved([*there.items, *talk("b")]))
    back = await one.claim("sess_1", OWNER, saved(items))
    assert said(back) == ["a", "b"]
    assert not one.is_lost("sess_1")


async def test_what_is_kept_is_used_if_it_is_the_newest(one: TalkArchive) -> None:
    """A session that comes back to its own node is not read again."""
    kept = saved(talk("a"))
    await one.save(kept)
    assert await one.claim("sess_1", OWNER, kept) is kept


async def test_a_write_before_the_claim_is_read(one: TalkArchive, node: AddNode) -> None:
    """A claim that meets a later write of the old node reads on and claims again."""
    engine, other = node()
    items = talk("a")
    await one.save(saved(items))

    async def step(request: str, subject: str, moment: str) -> None:
        if (request, moment) == ("write", "before"):
            engine.step = None
            await one.save(saved([*items, *talk("b")]))

    engine.step = step
    assert said(await other.claim("sess_1", OWNER)) == ["a", "b"]


async def test_nobody_else_may_claim_it(store: MemoryStore, one: TalkArchive, other: TalkArchive) -> None:
    """The session of another owner, and an unknown one, are not found; their node goes on."""
    await one.save(saved(talk("a")))
    assert await other.claim("sess_1", ("you", "")) is None
    assert await one.claim("sess_1", ("you",)) is None
    assert await other.claim("sess_2", OWNER) is None
    await one.save(saved(talk("b")))
    assert words(store) == ["b"]


async def test_an_end_leaves_nothing_to_claim(one: TalkArchive, other: TalkArchive) -> None:
    """A session that has ended is not found, and what a paused node writes afterwards does not bring it back."""
    await one.save(saved(talk("a")))
    await other.claim("sess_1", OWNER)
    await other.forget("sess_1")
    await one.save(saved(talk("too late")))
    assert (one.is_lost("sess_1"), await other.claim("sess_1", OWNER)) == (True, None)


async def test_a_long_log_is_begun_again(store: MemoryStore, one: TalkArchive, other: TalkArchive) -> None:
    """After many messages the conversation is written as a whole, and those before it are dropped."""
    items = talk("0")
    for number in range(1, 3 * module.MOST_MESSAGES):
        await one.save(saved(items))
        items += talk(str(number))
    await one.save(saved(items))
    assert len(store.messages(SUBJECT)) <= module.MOST_MESSAGES
    assert said(await other.claim("sess_1", OWNER)) == said(saved(items))


async def test_a_log_that_is_begun_again_while_it_is_read_loses_nothing(store: MemoryStore, one: TalkArchive) -> None:
    """Messages that are dropped between two that are read leave no gap: the whole conversation comes after them."""
    items, read = talk("a"), store.messages(SUBJECT)
    while len(store.messages(SUBJECT)) >= len(read):
        read = store.messages(SUBJECT)
        items += talk("b")
        await one.save(saved(items))
    found = fold(SIGNATURE, SUBJECT, [*read[:2], *store.messages(SUBJECT)])
    assert said(found.saved("sess_1")) == said(saved(items))


async def test_a_long_item_is_cut(store: MemoryStore, one: TalkArchive, other: TalkArchive) -> None:
    """An item that is longer than a message is written in several ones."""
    text = "x" * (2 * talk_log.MOST_PART)
    await one.save(saved(talk("a")))
    await one.save(saved(talk("a", text)))
    assert max(len(message.data) for message in store.messages(SUBJECT)) < 1_000_000
    assert said(await other.claim("sess_1", OWNER)) == ["a", text]


async def test_half_an_item_counts_for_nothing(store: MemoryStore, other: TalkArchive, node: AddNode) -> None:
    """A node that dies between the parts of an item leaves what was before; one that goes on writes all of it."""
    engine, one = node()
    items = talk("a")
    await one.save(saved(items))
    items += talk("x" * (2 * talk_log.MOST_PART))
    count = len(store.messages(SUBJECT))

    async def step(request: str, subject: str, moment: str) -> None:
        if len(store.messages(SUBJECT)) > count:
            engine.cut()

    engine.step = step
    with pytest.raises(Unavailable):
        await one.save(saved(items))
    assert words(store) == ["a"]
    engine.step = None
    engine.heal()
    await one.save(saved(items))
    assert said(await other.claim("sess_1", OWNER)) == said(saved(items))


async def test_an_unacknowledged_write_is_no_fence(store: MemoryStore, other: TalkArchive, node: AddNode) -> None:
    """A node that wrote without learning of it finds its own message, and goes on."""
    engine, one = node()
    items = talk("a")

    async def step(request: str, subject: str, moment: str) -> None:
        if (request, moment) == ("write", "after"):
            engine.cut()

    engine.step = step
    with pytest.raises(Unavailable):
        await one.save(saved(items))
    engine.step = None
    engine.heal()
    items += talk("b")
    await one.save(saved(items))
    assert (one.is_lost("sess_1"), words(store)) == (False, ["a", "b"])


async def test_a_lost_store_is_given_back(store: MemoryStore, one: TalkArchive, other: TalkArchive) -> None:
    """After the engine has lost all, the next turn writes the whole conversation; an old owner's does not count."""
    items = talk("a")
    await one.save(saved(items))
    claimed = await other.claim("sess_1", OWNER)
    assert claimed is not None
    store.lose()
    store.is_set_up = True
    await one.save(saved([*items, *talk("too late")]))
    await other.save(saved([*claimed.items, *talk("b")]))
    assert not other.is_lost("sess_1")
    await one.save(saved([*items, *talk("later still")]))
    assert (one.is_lost("sess_1"), words(store)) == (True, ["a", "b"])


async def test_what_others_wrote_counts_for_nothing(store: MemoryStore, one: TalkArchive, other: TalkArchive) -> None:
    """Messages without the signature of the fleet, and copies of older ones, change and fence nothing."""
    items = talk("a")
    await one.save(saved(items))
    (first,) = store.messages(SUBJECT)
    stranger = archive(MemoryEngine(store), Signature("another key of theirs", "charhost"))
    assert await stranger.claim("sess_1", OWNER) is None
    for data in (b"", first.data, first.data[:-5] + b"evil}"):
        store.append(SUBJECT, data, store.messages(SUBJECT)[-1].sequence, None)
    assert words(store) == ["a"]
    items += talk("b")
    await one.save(saved(items))
    assert (one.is_lost("sess_1"), words(store)) == (False, ["a", "b"])


async def test_a_talk_of_one_session_is_none_of_another(
    store: MemoryStore, one: TalkArchive, other: TalkArchive
) -> None:
    """Signed messages that were copied to another session are not read there."""
    await one.save(saved(talk("a")))
    store.append("talk.sess_2", store.messages(SUBJECT)[0].data, 0, None)
    assert words(store, "sess_2") is None


async def test_a_large_session_is_read_beside_the_event_loop(one: TalkArchive, other: TalkArchive) -> None:
    """The thread of the loop has a small part of the work."""
    items = [message("x" * 4_000) for _ in range(3_000)]
    await one.save(saved(items))
    began = time.process_time(), time.thread_time()
    found = await other.claim("sess_1", OWNER)
    work, own = time.process_time() - began[0], time.thread_time() - began[1]
    assert found is not None
    assert found.items == tuple(items)
    assert own < work / 2
