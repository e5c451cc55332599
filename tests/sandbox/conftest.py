"""A sandbox with short limits, and a manager that uses one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.sandbox.sandbox import Sandbox
from charhost.settings import Settings
from tests.sandbox.helpers import DEADLINE, mark, short_limits

__all__ = ["mark"]


@pytest.fixture
async def sandbox(mark: str) -> AsyncIterator[Sandbox]:
    """A sandbox with short limits; processes that are left are killed afterwards."""
    async with short_limits(mark) as sandbox:
        yield sandbox


@pytest.fixture
async def isolated_manager(directory: Path, mark: str) -> AsyncIterator[CharacterManager]:
    """A manager that has loaded its directory, with `check_isolated` in its settings."""
    settings = Settings(directory=directory, check_isolated=True, file_deadline=DEADLINE)
    manager = CharacterManager(settings, Metrics())
    await manager.reload_characters(trigger="startup")
    yield manager
    await manager.close(1)
