"""A sandbox with short limits, and a manager that uses one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.sandbox.sandbox import Sandbox
from charhost.settings import Settings
from tests.sandbox.helpers import DEADLINE, GENEROUS, kill, mark, marked

__all__ = ["mark"]


@pytest.fixture
async def sandbox(directory: Path, mark: str) -> AsyncIterator[Sandbox]:
    """A sandbox with short limits; processes that are left are killed afterwards."""
    sandbox = Sandbox(Settings(directory=directory, file_deadline=DEADLINE, isolated_processes=16))
    try:
        yield sandbox
    finally:
        for pid in marked(mark):
            kill(pid, mark)
        await asyncio.wait_for(sandbox.close(), GENEROUS)


@pytest.fixture
async def isolated_manager(directory: Path, mark: str) -> AsyncIterator[CharacterManager]:
    """A manager that has loaded its directory, with `check_isolated` in its settings."""
    settings = Settings(directory=directory, check_isolated=True, file_deadline=DEADLINE)
    manager = CharacterManager(settings, Metrics())
    await manager.reload_characters(trigger="startup")
    yield manager
    await manager.close(1)
