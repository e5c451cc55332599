"""The feed of events."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from charhost.memory.budget import MemoryBudget
from charhost.web.events.feed import MOST_KEPT_BYTES, MOST_WAITING_BYTES, Feed


def ignore() -> None:
    """Do nothing about a late reader."""


async def test_event_reaches_every_reader() -> None:
    """An event is one frame with its id, its kind and its content."""
    feed = Feed()
    with feed.reader("", ignore) as one, feed.reader("", ignore) as other:
        feed.publish("reload.ended", {"generation": 2})
        assert await one.read() == await other.read()
        feed.publish("reload.ended", {"generation": 3})
        frame = (await one.read()).decode()
    assert frame.split("-", 1)[1] == '2\nevent: reload.ended\ndata: {"generation":3}\n\n'


async def test_returning_reader_gets_what_it_missed() -> None:
    """A reader with the id of its last event gets the later ones first."""
    feed = Feed()
    with feed.reader("", ignore) as reader:
        feed.publish("a", 1)
        last = (await reader.read()).decode().splitlines()[0].removeprefix("id: ")
    feed.publish("b", 2)
    feed.publish("c", 3)
    with feed.reader(last, ignore) as reader:
        frames = [await reader.read(), await reader.read()]
    assert [frame.splitlines()[1] for frame in frames] == [b"event: b", b"event: c"]


@pytest.mark.parametrize("last", ["", "1", "00000000-1", "x-y", "-", f"{'9' * 30}-{'9' * 30}"])
async def test_reader_with_an_id_of_another_run_begins_now(last: str) -> None:
    """An id that this run did not give out brings nothing back."""
    feed = Feed()
    feed.publish("a", 1)
    with feed.reader(last, ignore) as reader:
        feed.publish("b", 2)
        assert b"event: a" not in await reader.read()


async def test_state_is_not_kept() -> None:
    """A state has no id, and a reader that comes later does not get it."""
    feed = Feed()
    with feed.reader("", ignore) as reader:
        feed.show("figures", 1)
        assert await reader.read() == b"event: figures\ndata: 1\n\n"


async def test_reader_begins_with_the_states() -> None:
    """A reader that comes later gets the latest states at once, and each change after that once."""
    feed = Feed()
    feed.show_changes({"sessions": 1, "model": None})
    with feed.reader("", ignore) as reader:
        assert await reader.read() == b"event: sessions\ndata: 1\n\n"
        assert await reader.read() == b"event: model\ndata: null\n\n"
        feed.show_changes({"sessions": 1, "model": None})
        feed.show_changes({"sessions": 2, "model": None})
        assert await reader.read() == b"event: sessions\ndata: 2\n\n"


async def test_state_that_returns_is_sent_to_every_reader() -> None:
    """A reader that came while a state was another one for a moment does not stay with that."""
    feed = Feed()
    feed.show_changes({"sessions": 0})
    with feed.reader("", ignore):
        feed.show_changes({"sessions": 1})
        with feed.reader("", ignore) as late:
            feed.show_changes({"sessions": 0})
            await late.read()
            assert (await late.read()).endswith(b"data: 0\n\n")


async def test_kept_events_are_bounded() -> None:
    """The oldest events go once those that are kept are too long together."""
    feed = Feed()
    feed.publish("first", 1)
    with feed.reader("", ignore) as reader:
        feed.publish("second", 2)
        run = (await reader.read()).decode().removeprefix("id: ").partition("-")[0]
    for _ in range(3):
        feed.publish("long", "x" * (MOST_KEPT_BYTES // 3))
    with feed.reader(f"{run}-1", ignore) as reader:
        feed.publish("last", 1)
        frames = [await reader.read() for _ in range(3)]
    assert [b"event: long" in frame for frame in frames] == [True, True, False]


async def test_reader_that_does_not_read_is_dropped() -> None:
    """Too many waiting frames end the reader, once, and its frames are forgotten."""
    feed, late = Feed(), []
    with feed.reader("", lambda: late.append(1)) as reader:
        for _ in range(20):
            feed.publish("long", "x" * (MOST_WAITING_BYTES // 8))
        assert (late, await reader.read()) == ([1], b"")


async def test_close_ends_readers() -> None:
    """After the end of the feed a reader reads nothing more."""
    feed = Feed()
    with feed.reader("", ignore) as reader:
        feed.close()
        assert await reader.read() == b""


async def test_reader_that_comes_after_the_close_reads_nothing() -> None:
    """A request that arrives while the server stops does not hold it up."""
    feed = Feed()
    feed.close()
    with feed.reader("", ignore) as reader:
        feed.publish("a", 1)
        assert await reader.read() == b""


async def test_waiting_events_are_part_of_the_budget() -> None:
    """They count until they are written and the next is read, and a reader for which there is no room is late."""
    budget, late = MemoryBudget(10_000), list[str]()
    feed = Feed(budget)
    with feed.reader("", lambda: late.append("late")) as reader:
        feed.publish("a", "x" * 5_000)
        assert budget.in_use > 5_000
        await reader.read()
        assert budget.in_use > 5_000
        reading = asyncio.ensure_future(reader.read())
        await asyncio.sleep(0)
        assert (budget.in_use, late) == (0, [])
        feed.publish("a", "x" * 5_000)
        await reading
        feed.publish("a", "x" * 5_000)
        assert (budget.in_use, late) == (0, ["late"])


async def test_an_event_counts_once_for_all_readers() -> None:
    """Readers share its frame, the last of them to take it gives its memory back, and no other one does."""
    budget = MemoryBudget()
    feed = Feed(budget)
    with ExitStack() as readers:
        all_of_them = [readers.enter_context(feed.reader("", ignore)) for _ in range(60)]
        feed.publish("a", "x" * 100_000)
        frames = [await reader.read() for reader in all_of_them]
        assert 100_000 < budget.in_use < 101_000
        assert all(frame is frames[0] for frame in frames)
        for reader in all_of_them[1:]:
            reader.end()
        assert budget.in_use > 100_000
    assert budget.in_use == 0
