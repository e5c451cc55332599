"""The state file as a whole."""

from __future__ import annotations

from pathlib import Path

from charhost.report import DEFAULT_SET
from tests.reload.helpers import report
from tests.scripted import message
from tests.storage.files import found, opened, saved


async def test_sets_and_conversations_are_in_one_file(path: Path) -> None:
    """What was recorded of sets and what was saved of conversations is read from the same file."""
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(1), None)
        await file.conversations.save([saved(message("Hi"))], [])
    async with opened(path) as file:
        assert await file.sets.history(DEFAULT_SET).attempts(9) == (report(1),)
    assert await found(path) is not None
