"""The order of the conversations in the state file, whatever becomes of the clock."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from charhost.resume.saved_session import SavedSession
from charhost.storage import conversation_table
from charhost.storage.state_file import StateFile


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[StateFile]:
    """Open the state file as a server does, for as long as the block lasts."""
    file = StateFile(path)
    await file.open()
    try:
        yield file
    finally:
        await file.close()


def clock_is(monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    monkeypatch.setattr(conversation_table, "time", SimpleNamespace(time=lambda: time.time() + ahead))


def saved(session: str) -> SavedSession:
    return SavedSession(session, "Ada", "me", "ga", None, "conv_1", ())


async def test_a_clock_that_is_set_back_does_not_age_a_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one to be saved is the last one to be dropped, in the same run and after a restart."""
    path = tmp_path / "state.db"
    clock_is(monkeypatch, 3600)
    async with opened(path) as file:
        await file.conversations.save([saved("a"), saved("b")], [])
        clock_is(monkeypatch, 0)
        await file.conversations.save([saved("c")], [])
    async with opened(path) as file:
        assert await file.conversations.sessions(3) == ["c", "b", "a"]
        await file.conversations.save([saved("d")], [])
        await file.conversations.save([saved("a")], [])
    async with opened(path) as file:
        assert await file.conversations.sessions(3) == ["a", "d", "c"]
