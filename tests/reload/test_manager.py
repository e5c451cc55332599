"""A reload replaces the current set as a whole, or changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.errors import ReloadFailed, ReloadRejected
from charhost.reload.loader import Loader
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from tests.conftest import character, prompt
from tests.reload.helpers import Write, loaded_manager, sample, state

BROKEN = {
    "a syntax error": "def broken(:",
    "a missing class": "CHARACTER_NAME, VOICE_SOURCE, INSTRUCTIONS = 'Bob', {}, {}",
    "SystemExit": "import sys; sys.exit()",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "a BaseException": "class Odd(BaseException): pass\nraise Odd",
    "StopIteration": "raise StopIteration",
    "CancelledError": "import asyncio; raise asyncio.CancelledError",
    "a hang": "while True: pass",
}


async def test_reload_replaces_the_set(manager: CharacterManager, write: Write) -> None:
    """After a reload the current set equals the directory."""
    write("ada.py", character("Ada", "Be brief."))
    report = await manager.reload_characters()
    assert (report.outcome, report.generation, prompt(manager)) == ("applied", 2, "Be brief.")


async def test_another_directory_takes_the_place_of_the_first(manager: CharacterManager, tmp_path: Path) -> None:
    """A reload may name another directory, which is then the current one."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    report = await manager.reload_characters(ReloadRequest(directory=str(tmp_path / "other")))
    assert (list(manager.current), manager.current.directory) == (["Bob"], str(tmp_path / "other"))
    assert (report.changes.added, report.changes.removed) == (("Bob",), ("Ada",))


async def test_a_request_without_directory_means_the_current_one(manager: CharacterManager, tmp_path: Path) -> None:
    """A request without directory reads the current one again; `default` returns to the first."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    await manager.reload_characters(ReloadRequest(directory=str(tmp_path / "other")))
    assert (await manager.reload_characters()).directory == str(tmp_path / "other")
    assert list(manager.current) == ["Bob"]
    await manager.reload_characters(ReloadRequest(directory="default"))
    assert list(manager.current) == ["Ada"]


async def test_an_old_set_stays_as_it_was(manager: CharacterManager, write: Write) -> None:
    """A set that was replaced stays complete and unchanged."""
    before = manager.current
    write("ada.py", character("Ada", "Be brief."))
    await manager.reload_characters()
    assert before["Ada"].instructions == {"text": "Be kind."}
    assert before["Ada"].prompt_generator(before["Ada"].instructions).make_system_prompt() == "Be kind."


async def test_changes_are_reported_by_name(manager: CharacterManager, directory: Path, write: Write) -> None:
    """The report names the added, removed and modified characters, and counts the unchanged ones."""
    write("bob.py", character("Bob"))
    write("cleo.py", character("Cleo"))
    await manager.reload_characters()
    write("ada.py", character("Ada", "Be brief."))
    write("dan.py", character("Dan"))
    (directory / "bob.py").unlink()
    changes = (await manager.reload_characters()).changes
    assert (changes.added, changes.removed, changes.modified, changes.unchanged) == (("Dan",), ("Bob",), ("Ada",), 1)


async def test_broken_file_leaves_current_set_serving(manager: CharacterManager, write: Write) -> None:
    """A refused reload changes nothing, and its error names the file and the line."""
    before = manager.current
    write("pirate.py", "raise RuntimeError('arr')")
    with pytest.raises(ReloadRejected, match=r"pirate\.py:1: RuntimeError: arr"):
        await manager.reload_characters(ReloadRequest(on_error="abort"))
    assert manager.current is before


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
async def test_a_refused_file_changes_nothing(directory: Path, write: Write, source: str) -> None:
    """However a file fails, a refused reload leaves set and characters untouched (promise 2)."""
    manager = await loaded_manager(Settings(directory=directory, file_deadline=1))
    before = state(manager)
    write("bob.py", source)
    write("ada.py", character("Ada", "Be brief."))
    with pytest.raises(ReloadRejected):
        await manager.reload_characters(ReloadRequest(on_error="abort"))
    assert state(manager) == before
    assert prompt(manager) == "Be kind."


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
async def test_a_broken_file_costs_only_itself(directory: Path, write: Write, source: str) -> None:
    """However a file fails, the others load and the next reload works (promise 12)."""
    manager = await loaded_manager(Settings(directory=directory, file_deadline=1))
    write("bob.py", source)
    report = await manager.reload_characters()
    assert (report.outcome, list(manager.current), [e.file for e in report.errors]) == ("applied", ["Ada"], ["bob.py"])
    write("bob.py", character("Bob"))
    assert (await manager.reload_characters()).errors == ()


async def test_the_disk_of_a_refused_reload_is_not_that_of_the_set(manager: CharacterManager, write: Write) -> None:
    """After a refusal the set counts as loaded from the disk of before, with which a watcher and a restart compare."""
    applied = manager.applied
    write("bob.py", "def broken(:")
    with pytest.raises(ReloadRejected):
        await manager.reload_characters(ReloadRequest(on_error="abort"))
    assert manager.applied is applied


async def test_an_unreadable_file_changes_nothing(manager: CharacterManager, directory: Path) -> None:
    """A file that cannot be read is refused like one that fails (promise 2)."""
    before = state(manager)
    (directory / "bob.py").symlink_to("nowhere")
    with pytest.raises(ReloadRejected, match=r"bob\.py: OSError: No such file or directory"):
        await manager.reload_characters(ReloadRequest(on_error="abort"))
    assert state(manager) == before


def remove_directory(directory: Path) -> str:
    (directory / "ada.py").unlink()
    directory.rmdir()
    return "directory_not_found"


def empty_directory(directory: Path) -> str:
    (directory / "ada.py").unlink()
    return "no_characters"


def break_all_files(directory: Path) -> str:
    (directory / "ada.py").write_text("raise SystemExit")
    return "no_characters"


def replace_by_file(directory: Path) -> str:
    remove_directory(directory)
    directory.write_text("")
    return "not_a_directory"


@pytest.mark.parametrize("damage", [remove_directory, empty_directory, break_all_files, replace_by_file])
async def test_an_empty_set_never_serves(
    manager: CharacterManager, directory: Path, damage: Callable[[Path], str]
) -> None:
    """A directory that is missing, empty or without a file that loads never serves (promises 2, 11)."""
    before = state(manager)
    code = damage(directory)
    with pytest.raises(ReloadRejected) as caught:
        await manager.reload_characters()
    assert (caught.value.code, caught.value.report.outcome) == (code, "rejected")
    assert state(manager) == before


async def test_a_reload_over_its_deadline_changes_nothing(directory: Path, write: Write) -> None:
    """A load over its deadline ends as failed and changes nothing, and the next one works (promises 2, 12)."""
    manager = await loaded_manager(Settings(directory=directory, load_deadline=2))
    before = state(manager)
    bob = write("bob.py", "while True: pass")
    with pytest.raises(ReloadFailed, match=r"took longer than 2 s") as caught:
        await manager.reload_characters()
    assert (caught.value.code, caught.value.report.outcome, state(manager)) == ("load_timeout", "failed", before)
    bob.unlink()
    assert (await manager.reload_characters()).outcome == "applied"


async def test_a_fault_of_charhost_changes_nothing(
    manager: CharacterManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error ends as a failed reload, with its traceback only in the log (promise 2)."""
    before = state(manager)

    async def fault(*_: object, **__: object) -> None:
        raise LookupError("a secret")

    monkeypatch.setattr(Loader, "build", fault)
    with pytest.raises(ReloadFailed, match="reload: LookupError") as caught:
        await manager.reload_characters()
    assert (caught.value.code, state(manager)) == ("internal_error", before)
    assert "LookupError: a secret" in caplog.text


async def test_every_failure_is_in_one_report(manager: CharacterManager, write: Write) -> None:
    """One report has all files that failed, with line, character, type and message (promise 4)."""
    write("bad.py", "\ndef broken(:")
    write("gone.py", "import nowhere")
    write("nameless.py", character("Bob").replace("class PromptGenerator", "class Other"))
    write("twin.py", character("Ada"))
    report = await manager.reload_characters()
    found = [(error.file, error.line, error.character, error.error_type) for error in report.errors]
    assert found == [
        ("bad.py", 2, None, "SyntaxError"),
        ("gone.py", 1, None, "ImportError"),
        ("nameless.py", None, "Bob", "ValidationError"),
        ("twin.py", 2, "Ada", "DuplicateName"),
    ]
    assert all(error.message for error in report.errors)
    assert (report.error_count, report.total_files, report.loaded_count) == (4, 5, 1)


async def test_undoing_a_bad_save_clears_the_error(manager: CharacterManager, write: Write) -> None:
    """Undoing a bad save sets the metric to 1 and removes the error (promise 20)."""
    metrics = manager._metrics.registry
    write("ada.py", "def broken(:")
    with pytest.raises(ReloadRejected):
        await manager.reload_characters()
    assert sample(metrics, "charhost_last_reload_successful") == 0
    assert manager.last_error is not None
    write("ada.py", character("Ada"))
    await manager.reload_characters()
    assert sample(metrics, "charhost_last_reload_successful") == 1
    assert manager.last_error is None


async def test_an_excluded_file_stays_the_last_error(manager: CharacterManager, write: Write) -> None:
    """A reload that excluded a file is a success, and stays the last error until the file is repaired."""
    write("bob.py", "def broken(:")
    report = await manager.reload_characters()
    assert (report.success, manager.last_error) == (True, report)
    write("bob.py", character("Bob"))
    await manager.reload_characters()
    assert manager.last_error is None


async def test_metrics_follow_the_outcomes(manager: CharacterManager, write: Write) -> None:
    """Each reload is counted by trigger and outcome, each failed file by its type (promise 5)."""
    metrics = manager._metrics.registry
    write("bob.py", "def broken(:")
    await manager.reload_characters()
    with pytest.raises(ReloadRejected):
        await manager.reload_characters(ReloadRequest(directory="/nowhere"), trigger="watch")
    assert sample(metrics, "charhost_reloads_total", trigger="startup", outcome="applied") == 1
    assert sample(metrics, "charhost_reloads_total", trigger="http", outcome="applied") == 1
    assert sample(metrics, "charhost_reloads_total", trigger="watch", outcome="rejected") == 1
    assert sample(metrics, "charhost_character_load_errors_total", error_type="SyntaxError") == 1
    assert sample(metrics, "charhost_character_load_count_total") == 2
    assert sample(metrics, "charhost_characters_loaded") == 1
