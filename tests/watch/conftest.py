"""A directory of three characters, and a watcher of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from charhost.watch import watcher
from tests.reload.sets import pytest_generate_tests, set_name
from tests.watch.helpers import Watched, using, watching

__all__ = ["pytest_generate_tests", "set_name"]


@pytest.fixture
def directory(directory: Path) -> Path:
    """Ada, Bob with a helper, and Carl, whose helper is missing."""
    (directory / "resources").mkdir()
    (directory / "resources" / "tone.py").write_text("WORDS = 'gentle'\n")
    (directory / "bob.py").write_text(using("Bob", "resources.tone"))
    (directory / "carl.py").write_text(using("Carl", "extra.deep.tone"))
    return directory


@pytest.fixture
async def watched(directory: Path) -> AsyncIterator[Watched]:
    """A watcher with the default settings that receives events."""
    async with watching(directory) as watched:
        await watched.armed()
        yield watched


@pytest.fixture
def without_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notifier that never reports an event, as after an overflow of the kernel's queue."""

    class Silent:
        def __init__(self, *args: object) -> None: ...
        def close(self) -> None: ...

    monkeypatch.setattr(watcher, "EventSource", Silent)
    monkeypatch.setattr(watcher, "_TICK", 0.05)
