"""The saving of sessions for several processes, and the waiting of responses for it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from charhost.errors import EngineError
from charhost.metrics import Metrics
from charhost.resume import shared_writer as module
from charhost.resume.saved_session import SavedSession
from charhost.resume.shared_writer import SharedWriter
from tests.scripted import LIMIT


def saved(session_id: str) -> SavedSession:
    return SavedSession(session_id, "Ada", "", "ga", {}, "conv_1", ())


class Archive:
    """Saves a session once its gate is open, if it has one."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.saved: list[str] = []

    async def save(self, saved: SavedSession) -> None:
        if saved.id in self.gates:
            await self.gates[saved.id].wait()
        self.saved.append(saved.id)

    async def forget(self, session: str) -> None: ...

    async def claim(self, session: str, owners: Collection[str], kept: SavedSession | None) -> SavedSession | None:
        raise EngineError("cut off")

    def release(self, session: str) -> None: ...

    def is_lost(self, session: str) -> bool:
        return False

    def abandon(self, session: str) -> None: ...


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
async def writer(archive: Archive) -> SharedWriter:
    return SharedWriter(archive, Metrics())


async def test_a_conversation_that_is_slow_keeps_no_other_from_waiting(
    archive: Archive, writer: SharedWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response is sent without being saved only after its own conversation has waited in vain."""
    archive.gates = {session: asyncio.Event() for session in ("slow", "other")}
    monkeypatch.setattr(module, "SAVE_DEADLINE", 0.01)
    writer.note("slow", lambda: saved("slow"))
    await writer.settled("slow")
    monkeypatch.setattr(module, "SAVE_DEADLINE", LIMIT)
    async with asyncio.timeout(LIMIT):
        await writer.settled("slow")
        writer.note("other", lambda: saved("other"))
        settled = asyncio.create_task(writer.settled("other"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not settled.done()
        archive.gates["other"].set()
        await settled
        assert archive.saved == ["other"]
        archive.gates["slow"].set()
        await writer.close()


async def test_all_wait_again_once_the_engine_takes_something(
    archive: Archive, writer: SharedWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversation that has waited in vain waits for its next response."""
    archive.gates["slow"] = asyncio.Event()
    monkeypatch.setattr(module, "SAVE_DEADLINE", 0.01)
    writer.note("slow", lambda: saved("slow"))
    await writer.settled("slow")
    monkeypatch.setattr(module, "SAVE_DEADLINE", LIMIT)
    async with asyncio.timeout(LIMIT):
        writer.note("other", lambda: saved("other"))
        await writer.settled("other")
        settled = asyncio.create_task(writer.settled("slow"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not settled.done()
        archive.gates["slow"].set()
        await settled
        assert archive.saved == ["other", "slow"]
        await writer.close()
