"""A dry run predicts a reload and changes nothing."""

from __future__ import annotations

import pytest

from charhost.errors import ReloadRejected
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from tests.conftest import character
from tests.reload.helpers import RecordingSessions, Write, loaded_manager, sample, state


@pytest.mark.of_default_set
async def test_a_dry_run_changes_nothing(manager: CharacterManager, write: Write) -> None:
    """A dry run leaves the set, the metrics and the last reload unchanged (promise 33)."""
    before, last = state(manager), manager.last_reload
    write("ada.py", character("Ada", "Be brief."))
    report = await manager.reload_characters(ReloadRequest(dry_run=True))
    assert (report.outcome, report.success, report.dry_run) == ("valid", True, True)
    assert (state(manager), manager.last_reload, manager.last_error) == (before, last, None)
    assert report.serving == manager.serving
    assert sample(manager._metrics.registry, "charhost_generation") == 1


async def test_a_dry_run_predicts_the_real_run(settings: Settings, write: Write) -> None:
    """The report of a dry run equals that of the reload after it (promise 33)."""
    manager = await loaded_manager(settings, RecordingSessions())
    write("ada.py", character("Ada", "Be brief."))
    write("bob.py", character("Bob"))
    write("cleo.py", "def broken(:")
    dry = await manager.reload_characters(ReloadRequest(dry_run=True))
    real = await manager.reload_characters()
    same = {"generation", "revision", "changes", "errors", "sessions", "total_files", "loaded_count", "error_count"}
    assert dry.model_dump(include=same) == real.model_dump(include=same)


async def test_a_dry_run_predicts_a_refusal(manager: CharacterManager, write: Write) -> None:
    """A dry run of a set that would be refused is refused, and is not the last reload (promise 33)."""
    write("bob.py", "def broken(:")
    with pytest.raises(ReloadRejected) as caught:
        await manager.reload_characters(ReloadRequest(on_error="abort", dry_run=True))
    assert (caught.value.code, caught.value.report.dry_run) == ("set_rejected", True)
    assert (sample(manager._metrics.registry, "charhost_last_reload_successful"), manager.last_error) == (1, None)
