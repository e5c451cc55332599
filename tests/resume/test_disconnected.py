"""Saved conversations of disconnected clients: their number, their time and their owner."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest

from charhost.memory.budget import MemoryBudget
from charhost.metrics import Metrics
from charhost.resume.archive import Archive, ArchiveWriter, SessionWriter
from charhost.resume.disconnected import DisconnectedSessions
from charhost.resume.saved_session import SavedSession
from tests.scripted import LIMIT, message


class Clock:
    """The time of the loop, which a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Any]] = []
        monkeypatch.setattr("charhost.resume.disconnected.asyncio.get_running_loop", lambda: self)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, job: Any) -> Any:
        self.calls.append((when, job))
        return self

    def cancel(self) -> None:
        self.calls.clear()

    def move(self, seconds: float) -> None:
        """Advance the clock, and let due callbacks run."""
        self.now += seconds
        due = [call for call in self.calls if call[0] <= self.now]
        self.calls = [call for call in self.calls if call[0] > self.now]
        for _, job in due:
            job()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that stands still."""
    return Clock(monkeypatch)


def disconnected_sessions(most: int, seconds: float, archive: Archive | None = None) -> DisconnectedSessions:
    """Return the saved conversations with that archive, or without one, and with room for a thousand bytes."""
    writer = SessionWriter() if archive is None else ArchiveWriter(archive, Metrics())
    return DisconnectedSessions(most, seconds, writer, MemoryBudget(1_000))


def saved(session_id: str, owner: str = "") -> SavedSession:
    """A conversation with Ada."""
    return SavedSession(session_id, "Ada", owner, "ga", {}, "conv_1", (message("Hi"),))


def claim(disconnected: DisconnectedSessions, session_id: str, owner: str = "") -> SavedSession | None:
    """Claim a session that is in memory, which never suspends: a swap in between would be missed."""
    with pytest.raises(StopIteration) as ended:
        disconnected.claim(session_id, (owner,)).send(None)
    found: SavedSession | None = ended.value.value
    return found


def test_a_disconnected_session_is_found_until_it_is_claimed(clock: Clock) -> None:
    """A conversation waits under its id, and for one client only."""
    disconnected, one = disconnected_sessions(10, 60), saved("sess_1")
    disconnected.put(one)
    assert len(disconnected) == 1
    assert (claim(disconnected, "sess_1"), len(disconnected)) == (one, 0)
    assert claim(disconnected, "sess_1") is None


def test_session_that_is_given_back_can_be_claimed_again(clock: Clock) -> None:
    """A client that cannot resume, because its character is gone, may try again later."""
    disconnected, one = disconnected_sessions(10, 60), saved("sess_1")
    disconnected.put(one)
    for _ in range(2):
        assert claim(disconnected, "sess_1") is one
        disconnected.give_back(one)
    assert len(disconnected) == 1


def test_an_id_alone_opens_nothing(clock: Clock) -> None:
    """A conversation is only returned to its owner."""
    disconnected = disconnected_sessions(10, 60)
    disconnected.put(saved("sess_1", "me"))
    assert (
        claim(disconnected, "sess_1", "you"),
        claim(disconnected, "sess_1"),
        claim(disconnected, "sess_2", "me"),
    ) == (None,) * 3
    assert claim(disconnected, "sess_1", "me") is not None


def test_an_unclaimed_session_expires(clock: Clock) -> None:
    """After its time a conversation is not found, and not kept either."""
    disconnected = disconnected_sessions(10, 60)
    for session_id in ("sess_1", "sess_2"):
        disconnected.put(saved(session_id))
    clock.move(59)
    assert claim(disconnected, "sess_1")
    clock.move(1)
    assert (claim(disconnected, "sess_2"), len(disconnected)) == (None, 0)


def test_what_has_expired_is_not_found_before_it_is_swept(clock: Clock) -> None:
    """An expired conversation is not found, also before the timer has dropped it."""
    disconnected = disconnected_sessions(10, 60)
    disconnected.put(saved("sess_1"))
    clock.now += 60
    assert (claim(disconnected, "sess_1"), len(disconnected)) == (None, 1)


def test_each_has_its_own_time(clock: Clock) -> None:
    """The sweep that removes one comes again for the next."""
    disconnected = disconnected_sessions(10, 60)
    disconnected.put(saved("sess_1"))
    clock.move(30)
    for session_id in ("sess_2", "sess_3"):
        disconnected.put(saved(session_id))
    clock.move(30)
    assert (len(disconnected), claim(disconnected, "sess_2") is not None) == (2, True)
    clock.move(30)
    assert (len(disconnected), clock.calls) == (0, [])


def test_one_sweep_waits_however_many_there_are(clock: Clock) -> None:
    """Any number of conversations needs one timer, and none needs no timer."""
    disconnected = disconnected_sessions(10, 60)
    for number in range(5):
        disconnected.put(saved(f"sess_{number}"))
    assert len(clock.calls) == 1
    clock.move(60)
    assert clock.calls == []
    disconnected.put(saved("sess_9"))
    assert len(clock.calls) == 1


def test_a_conversation_that_comes_and_goes_has_its_time_anew(clock: Clock) -> None:
    """Each time a client is lost it has as long as the first time."""
    disconnected, one = disconnected_sessions(10, 60), saved("sess_1")
    for _ in range(3):
        disconnected.put(one)
        clock.move(50)
        assert claim(disconnected, "sess_1") is one
    disconnected.put(one)
    clock.move(59)
    assert claim(disconnected, "sess_1") is one


def test_beyond_the_limit_the_oldest_goes(clock: Clock) -> None:
    """Over the limit the oldest conversation is dropped; one that is saved again is new."""
    disconnected = disconnected_sessions(2, 60)
    for session_id in ("a", "b", "a", "c"):
        disconnected.put(saved(session_id))
    assert [session_id for session_id in "abc" if claim(disconnected, session_id)] == ["a", "c"]


@pytest.mark.parametrize(("most", "seconds"), [(0, 60), (10, 0)])
def test_keeping_can_be_off(clock: Clock, most: int, seconds: float) -> None:
    """With a limit or time of zero no conversation is kept."""
    disconnected = disconnected_sessions(most, seconds)
    disconnected.put(saved("sess_1"))
    assert claim(disconnected, "sess_1") is None
    clock.move(0)
    assert len(disconnected) == 0


def test_conversations_are_not_in_the_log(clock: Clock) -> None:
    """The representation has neither the text nor the client's settings."""
    assert "Hi" not in repr(saved("sess_1"))


def heavy(session_id: str, share: float) -> SavedSession:
    """A conversation that is so large a part of all that may be kept."""
    return replace(saved(session_id), weight=int(1_000 * share))


def test_long_conversations_count_for_more(clock: Clock) -> None:
    """However few they are, together they take no more than so much memory; the oldest go."""
    disconnected = disconnected_sessions(10, 60)
    for session_id in ("a", "b", "c"):
        disconnected.put(heavy(session_id, 0.5))
    assert [session_id for session_id in "abc" if claim(disconnected, session_id)] == ["b", "c"]


def test_what_has_left_weighs_nothing(clock: Clock) -> None:
    """Taken, replaced, swept or pushed out: its place is free for another."""
    disconnected = disconnected_sessions(1, 60)
    for _ in range(3):
        disconnected.put(heavy("a", 0.6))
        disconnected.put(heavy("a", 0.6))
        disconnected.put(heavy("b", 0.6))
        clock.move(60)
        disconnected.put(heavy("c", 0.6))
        assert claim(disconnected, "c")
    disconnected.put(heavy("d", 1))
    assert claim(disconnected, "d")


async def test_session_that_is_saved_can_be_resumed_when_it_is_given_up() -> None:
    """A session that leaves the memory for want of room is read from the file when its client comes."""
    disconnected = disconnected_sessions(10, 60, left := Left())
    disconnected.put(heavy("a", 0.9))
    async with asyncio.timeout(LIMIT):
        while "a" not in left.kept:
            await asyncio.sleep(0)
    disconnected.put(heavy("b", 0.9))
    assert len(disconnected) == 2
    assert await disconnected.claim("a", ("",)) is left.kept["a"]
    disconnected.close()


async def test_session_that_is_saved_leaves_the_memory_before_an_older_one_that_is_not() -> None:
    """A session is not lost for want of room while another one has a copy in the file."""
    disconnected = disconnected_sessions(10, 60, Left("b"))
    await disconnected.recover()
    from_file = await disconnected.claim("b", ("",))
    assert from_file is not None
    disconnected.put(unsaved := heavy("a", 0.6))
    disconnected.give_back(replace(from_file, weight=600))
    assert len(disconnected) == 2
    assert await disconnected.claim("a", ("",)) is unsaved
    assert await disconnected.claim("b", ("",)) == from_file
    disconnected.close()


def test_closing_forgets_all(clock: Clock) -> None:
    """At the end nothing is kept and nothing waits."""
    disconnected = disconnected_sessions(10, 60)
    disconnected.put(saved("sess_1"))
    disconnected.close()
    assert (len(disconnected), clock.calls) == (0, [])


async def test_the_sweep_really_comes() -> None:
    """On a real event loop an expired conversation is dropped."""
    disconnected = disconnected_sessions(10, 0.01)
    disconnected.put(saved("sess_1"))
    async with asyncio.timeout(LIMIT):
        while len(disconnected):
            await asyncio.sleep(0.001)


# What an earlier process has left


class Left:
    """An archive in which an earlier process has left conversations."""

    def __init__(self, *session_ids: str) -> None:
        self.kept = {session_id: saved(session_id) for session_id in session_ids}
        self.read: list[str] = []
        self.saves = 0
        self.dropped = asyncio.Event()
        self.reading = asyncio.Event()
        self.first_read_ends = asyncio.Event()
        self.first_read_ends.set()

    async def save(self, conversations: Sequence[SavedSession], forgotten: Sequence[str]) -> None:
        self.saves += 1
        self.kept.update({one.id: one for one in conversations})
        for session_id in forgotten:
            self.kept.pop(session_id, None)
            self.dropped.set()

    async def release(self, sessions: Collection[str]) -> None:
        pass

    async def sessions(self, most: int) -> list[str]:
        return list(self.kept)[:most]

    async def find(self, session: str) -> SavedSession | None:
        self.read.append(session)
        self.reading.set()
        if len(self.read) == 1:
            await self.first_read_ends.wait()
        return self.kept.get(session)


async def test_what_an_earlier_process_left_is_read_when_its_client_comes() -> None:
    """A conversation of an earlier process counts from the start, and is read only on request."""
    disconnected = disconnected_sessions(10, 60, left := Left("sess_1", "sess_2"))
    await disconnected.recover()
    assert (len(disconnected), left.read) == (2, [])
    assert await disconnected.claim("sess_1", ("",)) is left.kept["sess_1"]
    assert await disconnected.claim("sess_1", ("",)) is None
    assert (len(disconnected), left.read) == (1, ["sess_1"])
    disconnected.close()


async def test_session_that_is_claimed_from_the_file_is_not_written_back() -> None:
    """Neither when it is claimed nor when it is given back: the file has it."""
    writer = ArchiveWriter(left := Left("sess_1"), Metrics())
    disconnected = DisconnectedSessions(10, 60, writer)
    await disconnected.recover()
    one = await disconnected.claim("sess_1", ("",))
    assert one is not None
    disconnected.give_back(one)
    await writer.settled("sess_1")
    assert (left.saves, len(disconnected)) == (0, 1)
    disconnected.close()


async def test_of_two_that_claim_one_session_from_the_file_one_gets_it() -> None:
    """The other one finds that it was claimed while both read."""
    disconnected = disconnected_sessions(10, 60, Left("sess_1"))
    await disconnected.recover()
    claimed = await asyncio.gather(disconnected.claim("sess_1", ("",)), disconnected.claim("sess_1", ("",)))
    assert sum(one is not None for one in claimed) == 1
    disconnected.close()


async def test_session_that_was_claimed_and_put_back_while_another_read_the_file_is_found() -> None:
    """The second claim finds it in memory."""
    disconnected = disconnected_sessions(10, 60, left := Left("sess_1"))
    await disconnected.recover()
    left.first_read_ends.clear()
    slow = asyncio.create_task(disconnected.claim("sess_1", ("",)))
    await left.reading.wait()
    one = await disconnected.claim("sess_1", ("",))
    assert one is not None
    disconnected.put(one)
    left.first_read_ends.set()
    assert await slow is one
    disconnected.close()


async def test_a_guessed_id_is_not_searched_in_the_file() -> None:
    """An id that is guessed costs no look into the file."""
    disconnected = disconnected_sessions(10, 60, left := Left("sess_1"))
    await disconnected.recover()
    assert await disconnected.claim("sess_2", ("",)) is None
    assert left.read == []
    disconnected.close()


async def test_a_wrong_key_does_not_extend_a_session_of_an_earlier_process() -> None:
    """A request with another key does not extend the time of an earlier process's conversation."""
    disconnected = disconnected_sessions(10, 60, Left("sess_1"))
    await disconnected.recover()
    assert (await disconnected.claim("sess_1", ("you",)), len(disconnected)) == (None, 1)
    assert await disconnected.claim("sess_1", ("",))
    disconnected.close()


async def test_what_an_earlier_process_left_counts_for_the_limit() -> None:
    """Conversations of an earlier process are the oldest, and are dropped first."""
    writer = ArchiveWriter(left := Left("newer", "older"), Metrics())
    disconnected = DisconnectedSessions(2, 60, writer)
    await disconnected.recover()
    disconnected.put(saved("sess_1"))
    await writer.close()
    assert (len(disconnected), sorted(left.kept)) == (2, ["newer", "sess_1"])
    disconnected.close()


async def test_what_an_earlier_process_left_expires_too() -> None:
    """A conversation of an earlier process expires after the start, and is then dropped from the file."""
    disconnected = disconnected_sessions(10, 0.01, left := Left("sess_1"))
    await disconnected.recover()
    async with asyncio.timeout(LIMIT):
        await left.dropped.wait()
    assert (len(disconnected), left.kept) == (0, {})


async def test_what_is_given_up_is_dropped_from_the_archive() -> None:
    """Over the limit the oldest conversation is also dropped from the archive."""
    writer = ArchiveWriter(left := Left(), Metrics())
    disconnected = DisconnectedSessions(1, 60, writer)
    for session_id in "ab":
        disconnected.put(saved(session_id))
        await writer.close()
    assert list(left.kept) == ["b"]
    disconnected.close()
    await writer.close()
    assert list(left.kept) == ["b"]
