"""The writing of conversations, and the cost of a file that fails or is slow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence

import pytest

from charhost.metrics import Metrics
from charhost.resume import archive as module
from charhost.resume.archive import ArchiveWriter, SessionWriter
from charhost.resume.saved_session import SavedSession
from tests.scripted import LIMIT, message


def saved(session_id: str = "sess_1", *words: str) -> SavedSession:
    """Return a saved conversation with that text."""
    return SavedSession(session_id, "Ada", "", "ga", {}, "conv_1", tuple(map(message, words)))


class Archive:
    """Records its calls, and fails or waits on demand."""

    def __init__(self) -> None:
        self.saved: list[tuple[list[str], list[str]]] = []
        self.released: list[str] = []
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.wrote = asyncio.Event()

    async def save(self, conversations: Sequence[SavedSession], forgotten: Sequence[str]) -> None:
        self.begun.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.saved.append(([one.id for one in conversations], sorted(forgotten)))
        self.wrote.set()

    async def release(self, sessions: Collection[str]) -> None:
        self.released += sorted(sessions)

    async def sessions(self, most: int) -> list[str]:
        raise OSError(5, "Input/output error")

    async def find(self, session: str) -> SavedSession | None:
        raise OSError(5, "Input/output error")


@pytest.fixture
def archive() -> Archive:
    """An archive that works."""
    return Archive()


@pytest.fixture
def metrics() -> Metrics:
    """Nothing has happened yet."""
    return Metrics()


@pytest.fixture
def writer(archive: Archive, metrics: Metrics) -> ArchiveWriter:
    """A writer with that archive."""
    return ArchiveWriter(archive, metrics)


def errors(metrics: Metrics) -> float | None:
    """How often something was not kept."""
    return metrics.registry.get_sample_value("charhost_conversation_errors_total")


async def test_waiting_callers_resume_after_the_write(writer: ArchiveWriter, archive: Archive) -> None:
    """The wait for a conversation ends after it is on the disk."""
    writer.note("sess_1", saved)
    await writer.settled("sess_1")
    assert archive.saved == [(["sess_1"], [])]


async def test_with_nothing_to_write_no_caller_waits(writer: ArchiveWriter, archive: Archive) -> None:
    """Without a change there is no write and no wait."""
    await writer.settled("sess_1")
    assert archive.saved == []


async def test_what_changes_during_a_write_is_written_together(writer: ArchiveWriter, archive: Archive) -> None:
    """However many talk there is one write at a time, and the next one has all that came meanwhile."""
    archive.gate.clear()
    writer.note("a", lambda: saved("a"))
    await archive.begun.wait()
    for session in ("b", "c", "b"):
        writer.note(session, lambda session=session: saved(session))  # type: ignore[misc]
    waiting = [asyncio.create_task(writer.settled("sess_1")) for _ in range(3)]
    archive.gate.set()
    await asyncio.gather(*waiting)
    assert archive.saved == [(["a"], []), (["b", "c"], [])]


async def test_many_conversations_are_written_some_at_a_time(writer: ArchiveWriter, archive: Archive) -> None:
    """Conversations are written in batches; a later failure does not undo an earlier batch."""
    for number in range(250):
        writer.note(str(number), lambda number=number: saved(str(number)))  # type: ignore[misc]
    writer.forget("over")
    await writer.settled("sess_1")
    assert [(len(saved), forgotten) for saved, forgotten in archive.saved] == [(100, ["over"]), (100, []), (50, [])]


async def test_a_conversation_is_written_as_it_is_then(writer: ArchiveWriter, archive: Archive) -> None:
    """A conversation is written as it is at the time of the write."""
    now = [saved("old")]
    writer.note("x", lambda: now[0])
    now[0] = saved("new")
    await writer.settled("sess_1")
    assert archive.saved == [(["new"], [])]


async def test_what_is_over_is_not_written_but_dropped(writer: ArchiveWriter, archive: Archive) -> None:
    """An ended conversation is dropped instead of written, unless it was resumed."""
    writer.note("a", lambda: saved("a"))
    writer.forget("a")
    writer.forget("b")
    writer.note("b", lambda: saved("b"))
    await writer.settled("sess_1")
    assert archive.saved == [(["b"], ["a"])]


async def test_at_the_end_all_is_written(writer: ArchiveWriter, archive: Archive) -> None:
    """Closing waits for it, also right after a failure."""
    archive.failure = OSError(28, "No space left on device")
    writer.note("a", lambda: saved("a"))
    await writer.settled("sess_1")
    archive.failure = None
    await writer.close()
    assert archive.saved == [(["a"], [])]


async def test_a_full_disk_delays_no_client_and_is_logged_once(
    writer: ArchiveWriter,
    archive: Archive,
    metrics: Metrics,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a full disk no wait blocks, the first failure is logged, and the metric counts."""
    monkeypatch.setattr(module, "RETRY", LIMIT * 10)
    monkeypatch.setattr(module, "SAVE_DEADLINE", LIMIT * 10)
    archive.failure = OSError(28, "No space left on device")
    async with asyncio.timeout(LIMIT):
        for number in range(100):
            writer.note(str(number), lambda number=number: saved(str(number)))  # type: ignore[misc]
            await writer.settled("sess_1")
    assert [record.message for record in caplog.records] == [
        "conversations could not be written down; they go on, but would not outlive this process: "
        "[Errno 28] No space left on device"
    ]
    assert errors(metrics) == 1  # for a while it is not even tried


async def test_once_there_is_room_again_all_is_written(
    writer: ArchiveWriter, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed writes and deletions are tried again by themselves."""
    monkeypatch.setattr(module, "RETRY", 0)
    archive.failure = OSError(28, "No space left on device")
    writer.note("a", lambda: saved("a"))
    writer.forget("b")
    writer.note("c", lambda: saved("c"))
    await writer.settled("sess_1")
    writer.forget("c")
    archive.failure = None
    await archive.wrote.wait()
    assert archive.saved == [(["a"], ["b", "c"])]


async def test_a_conversation_that_cannot_be_described_keeps_no_other_from_being_written(
    writer: ArchiveWriter, archive: Archive, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of charhost's own costs one conversation, and is in the log."""
    writer.note("a", lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    writer.note("b", lambda: saved("b"))
    await writer.settled("sess_1")
    assert (archive.saved, errors(metrics)) == ([(["b"], [])], 1)
    assert "the session a could not be described" in caplog.text


async def test_a_disk_that_hangs_costs_one_wait(
    writer: ArchiveWriter, archive: Archive, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one wait for a disk that hangs no other wait blocks until it has returned."""
    monkeypatch.setattr(module, "SAVE_DEADLINE", 0.01)
    archive.gate.clear()
    writer.note("a", lambda: saved("a"))
    await writer.settled("sess_1")
    assert errors(metrics) == 1
    monkeypatch.setattr(module, "SAVE_DEADLINE", LIMIT * 10)
    async with asyncio.timeout(LIMIT):
        writer.note("b", lambda: saved("b"))
        await writer.settled("sess_1")
        archive.gate.set()
        while len(archive.saved) < 1:
            await asyncio.sleep(0)


async def test_a_cancelled_wait_stops_nothing(writer: ArchiveWriter, archive: Archive) -> None:
    """Of two waits the one that is not cancelled ends after the write."""
    archive.gate.clear()
    writer.note("a", lambda: saved("a"))
    leaving, staying = [asyncio.create_task(writer.settled("sess_1")) for _ in range(2)]
    await archive.begun.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    archive.gate.set()
    await staying
    assert archive.saved == [(["a"], [])]


async def test_without_an_archive_nothing_is_done() -> None:
    """No state file: no task, no wait, nothing left of an earlier run."""
    writer = SessionWriter()
    before = asyncio.all_tasks()
    writer.note("a", saved)
    writer.forget("b")
    await writer.settled("sess_1")
    assert (await writer.earlier(9), await writer.find("a"), asyncio.all_tasks()) == ([], None, before)
    await writer.close()


async def test_an_unreadable_conversation_is_refused(
    writer: ArchiveWriter, archive: Archive, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """A conversation that cannot be read is refused and logged, and others are still written."""
    with caplog.at_level(logging.ERROR):
        assert (await writer.earlier(9), await writer.find("a")) == ([], None)
    assert errors(metrics) == 2
    failure = "[Errno 5] Input/output error"
    assert [record.message for record in caplog.records] == [
        f"the conversations of the last run could not be read; their clients will be refused: {failure}",
        f"the conversation of a client that came back could not be read; it is refused: {failure}",
    ]
    writer.note("b", lambda: saved("b"))
    await writer.settled("sess_1")
    assert archive.saved == [(["b"], [])]


async def test_what_is_saved_is_let_go_of(writer: ArchiveWriter, archive: Archive) -> None:
    """A session is released once it is saved; one that is not saved yet, or again changed, is not."""
    writer.note("sess_1", saved)
    assert not writer.release("sess_1")
    async with asyncio.timeout(LIMIT):
        await writer.settled("sess_1")
        assert writer.release("sess_1")
        await writer.settled("sess_1")
        assert archive.released == ["sess_1"]
        assert writer.release("sess_1")
        writer.note("sess_1", saved)
        await writer.settled("sess_1")
    assert archive.released == ["sess_1"]


async def test_what_is_being_saved_is_not_let_go_of(
    writer: ArchiveWriter, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The save may fail: until it is over the memory has the only copy of the session as it is now."""
    monkeypatch.setattr(module, "RETRY", LIMIT * 10)
    archive.gate.clear()
    archive.failure = OSError(28, "No space left on device")
    writer.note("a", lambda: saved("a"))
    async with asyncio.timeout(LIMIT):
        await archive.begun.wait()
        assert not writer.release("a")
        archive.gate.set()
        await writer.settled("a")
        assert not writer.release("a")
        archive.failure = None
        await writer.close()
    assert writer.release("a")


async def test_what_was_to_be_let_go_of_during_a_failure_is_let_go_of_later(
    writer: ArchiveWriter, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save of another session that fails delays the release of a saved one, and does not undo it."""
    monkeypatch.setattr(module, "RETRY", 0)
    writer.note("a", lambda: saved("a"))
    async with asyncio.timeout(LIMIT):
        await writer.settled("a")
        archive.failure = OSError(28, "No space left on device")
        writer.note("b", lambda: saved("b"))
        assert writer.release("a")
        await writer.settled("b")
        archive.failure = None
        while archive.released != ["a"]:
            await asyncio.sleep(0)
    assert archive.saved == [(["a"], []), (["b"], [])]
