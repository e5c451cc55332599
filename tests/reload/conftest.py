"""Managers that have loaded the directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.report import DEFAULT_SET
from charhost.settings import Settings
from charhost.storage.state_file import StateFile
from tests.reload.helpers import Write
from tests.reload.reloader import Reloader, using
from tests.reload.sets import pytest_generate_tests, set_name

__all__ = ["pytest_generate_tests", "set_name"]


@pytest.fixture
async def reloader(settings: Settings, write: Write) -> Reloader:
    """Ada, and Bob and Carl with a helper each, loaded."""
    write("tone.py", "WORDS = 'x'\n").rename(settings.directory / "_tone.py")
    write("resources/mood.py", "WORDS = 'calm'\n")
    write("bob.py", using("Bob", "_tone"))
    write("carl.py", using("Carl", "resources.mood"))
    reloader = Reloader(settings)
    await reloader.manager.reload_characters(trigger="startup")
    return reloader


@pytest.fixture(params=["memory", "file"])
async def manager_with_store(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path
) -> AsyncIterator[CharacterManager]:
    """A manager with a store of each kind, which has loaded the directory."""
    file = StateFile(tmp_path / "state.db") if request.param == "file" else None
    if file is not None:
        await file.open()
    manager = CharacterManager(settings, Metrics(), store=file.sets.history(DEFAULT_SET) if file else None)
    await manager.reload_characters(trigger="startup")
    yield manager
    if file is not None:
        await file.close()
