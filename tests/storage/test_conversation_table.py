"""Conversations in the state file."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

from charhost.conversation.items import Item, Message
from charhost.memory.weight import weigh
from charhost.storage import conversation_table
from tests.scripted import message
from tests.storage.files import asked, connection, found, opened, saved


async def test_a_conversation_is_found_by_the_next_process(path: Path) -> None:
    """With all that its client needs to go on."""
    one = saved(message("Hi"), message("Hello!", "assistant"), owner="you", dialect=None, config=None)
    async with opened(path) as file:
        await file.conversations.save([one], [])
    assert await found(path) == replace(one, weight=weigh(None, one.items))
    assert await found(path, "sess_2") is None


async def test_only_what_is_new_is_written(path: Path) -> None:
    """A response after a thousand others writes one row."""
    items = [message(str(number)) for number in range(1000)]
    async with opened(path) as file:
        await file.conversations.save([saved(*items)], [])
        before = connection(file).sqlite.total_changes
        await file.conversations.save([saved(*items, message("one more"))], [])
        assert connection(file).sqlite.total_changes - before == 2  # the item, and the conversation's own row


async def test_a_long_conversation_that_is_cut_in_front_is_not_written_anew(path: Path) -> None:
    """Items that leave the history are removed, and no other row is written."""
    items = [message(str(number)) for number in range(1000)]
    async with opened(path) as file:
        await file.conversations.save([saved(*items)], [])
        before = connection(file).sqlite.total_changes
        await file.conversations.save([saved(*items[2:], message("one more"))], [])
        assert connection(file).sqlite.total_changes - before == 4


EDITS: dict[str, Callable[[list[Item]], object]] = {
    "nothing": lambda items: None,
    "more": lambda items: items.extend([message("d"), message("e")]),
    "one less at the front": lambda items: items.pop(0),
    "one less in the middle": lambda items: items.pop(1),
    "one less at the end": lambda items: items.pop(),
    "one in between": lambda items: items.insert(1, message("between")),
    "one in front": lambda items: items.insert(0, message("first")),
    "another in its place": lambda items: items.__setitem__(1, replace(items[1], status="incomplete")),
    "other order": lambda items: items.reverse(),
    "without items": lambda items: items.clear(),
}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(first, second, marks=() if first == second else pytest.mark.slow)
        for first, second in product(EDITS, repeat=2)
    ],
)
async def test_every_change_is_written(path: Path, first: str, second: str) -> None:
    """Items that come, go, change and move are found as they stand."""
    items: list[Item] = [message("a"), message("b"), message("c")]
    async with opened(path) as file:
        for edit in ("nothing", first, second):
            with suppress(IndexError):  # there is none
                EDITS[edit](items)
            await file.conversations.save([saved(*items)], [])
    kept = await found(path)
    assert kept is not None
    assert kept.items == tuple(items)


async def test_a_conversation_that_went_on_after_a_restart_is_whole(path: Path) -> None:
    """The items of the second process follow those that it has read."""
    async with opened(path) as file:
        await file.conversations.save([saved(message("a"))], [])
    async with opened(path) as file:
        kept = await file.conversations.find("sess_1")
        assert kept is not None
        await file.conversations.save([replace(kept, items=(*kept.items, message("b")))], [])
    kept = await found(path)
    assert kept is not None
    assert [item.text for item in kept.items if isinstance(item, Message)] == ["a", "b"]


async def test_an_ended_session_is_deleted_with_its_messages(path: Path) -> None:
    """Nothing of it stays in the tables."""
    async with opened(path) as file:
        await file.conversations.save([saved(message("a")), saved(message("b"), session="sess_2")], [])
        await file.conversations.save([], ["sess_1", "sess_9"])
    assert await found(path) is None
    assert asked(path, "SELECT session FROM items") == [("sess_2",)]


async def test_at_the_start_the_last_ones_are_kept(path: Path) -> None:
    """At the start the newest conversations up to the limit are kept, and the others dropped."""
    async with opened(path) as file:
        for session in "abc":
            await file.conversations.save([saved(session=session)], [])
    async with opened(path) as file:
        assert await file.conversations.sessions(2) == ["c", "b"]
        assert await file.conversations.find("a") is None


async def test_a_response_running_when_the_process_ended_is_incomplete(path: Path) -> None:
    """An item that was in progress when the process ended is incomplete."""
    async with opened(path) as file:
        await file.conversations.save([saved(Message(role="assistant", parts=(), status="in_progress"))], [])
    kept = await found(path)
    assert kept is not None
    assert [item.status for item in kept.items] == ["incomplete"]


async def test_a_released_conversation_takes_no_memory(path: Path) -> None:
    """Its items are read from the file again, and it can be saved without them being known."""
    async with opened(path) as file:
        tracemalloc.start()
        try:
            for number in range(8):
                one = saved(message("x" * 500_000 + str(number)), message("gone"), session=f"sess_{number}")
                await file.conversations.save([one], [])
                await file.conversations.release([one.id])
            assert tracemalloc.get_traced_memory()[0] < 3 * 500_000
        finally:
            tracemalloc.stop()
        assert await file.conversations.find("sess_3") is not None
        await file.conversations.release(["sess_3"])
        await file.conversations.save([saved(message("anew"), session="sess_3")], [])
    kept = await found(path, "sess_3")
    assert kept is not None
    assert [item.text for item in kept.items if isinstance(item, Message)] == ["anew"]


def clock_is(monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    monkeypatch.setattr(conversation_table, "time", SimpleNamespace(time=lambda: time.time() + ahead))


async def test_a_clock_that_is_set_back_does_not_age_a_conversation(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one to be saved is the last one to be dropped, in the same run and after a restart."""
    clock_is(monkeypatch, 3600)
    async with opened(path) as file:
        await file.conversations.save([saved(session="a"), saved(session="b")], [])
        clock_is(monkeypatch, 0)
        await file.conversations.save([saved(session="c")], [])
    async with opened(path) as file:
        assert await file.conversations.sessions(3) == ["c", "b", "a"]
        await file.conversations.save([saved(session="d")], [])
        await file.conversations.save([saved(session="a")], [])
    async with opened(path) as file:
        assert await file.conversations.sessions(3) == ["a", "d", "c"]
