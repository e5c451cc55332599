"""Attempts are recorded in the history, and a failing store loses only the record."""

from __future__ import annotations

import logging

import pytest

from charhost.errors import ReloadRejected
from charhost.loading.stored_set import StoredSet
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.reload.store import MemoryStore
from charhost.report import ReloadReport
from charhost.settings import Settings
from tests.reload.helpers import Write, roll_back, sample


@pytest.fixture
def manager(manager_with_store: CharacterManager) -> CharacterManager:
    """A manager with a store of each kind."""
    return manager_with_store


async def test_every_attempt_is_in_the_history(manager: CharacterManager, write: Write) -> None:
    """The history has all attempts, also refused, unchanged and dry runs, the newest first (promise 31)."""
    await manager.reload_characters(ReloadRequest(dry_run=True))
    await manager.reload_characters(ReloadRequest(scope="changed"))
    write("ada.py", "def broken(:")
    with pytest.raises(ReloadRejected) as refusal:
        await manager.reload_characters()
    kept = await manager.store.attempts(100)
    assert [report.outcome for report in kept] == ["rejected", "unchanged", "valid", "applied"]
    assert kept[0] == refusal.value.report
    assert await manager.store.attempt(kept[0].reload_id) == kept[0]


class FullDisk(MemoryStore):
    """A store that cannot be written."""

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        raise OSError(28, "No space left on device")


async def test_a_store_that_fails_costs_history_and_no_reload(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A reload is applied although its record cannot be written; the log and a metric show the loss."""
    manager = CharacterManager(settings, metrics := Metrics(), store=FullDisk())
    with caplog.at_level(logging.ERROR):
        report = await manager.reload_characters(trigger="startup")
    assert (report.outcome, list(manager.current)) == ("applied", ["Ada"])
    assert sample(metrics.registry, "charhost_history_errors_total") == 1
    assert f"the reload {report.reload_id} could not be kept in the history" in caplog.text


class Unreadable(MemoryStore):
    """A store that cannot be read."""

    async def generations(self) -> tuple[int, ...]:
        raise OSError(5, "Input/output error")


async def test_a_store_that_cannot_be_read_fails_the_rollback(settings: Settings) -> None:
    """A rollback with a store that cannot be read is an internal error, and changes nothing."""
    manager = CharacterManager(settings, Metrics(), store=Unreadable())
    await manager.reload_characters(trigger="startup")
    with pytest.raises(ReloadRejected) as refusal:
        await roll_back(manager)
    assert (refusal.value.code, manager.current.generation) == ("internal_error", 1)
