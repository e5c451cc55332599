"""A rollback restores the characters of an earlier generation."""

from __future__ import annotations

import asyncio
import gc
import shutil
from pathlib import Path
from typing import Any

import pytest

from charhost.errors import ReloadRejected, UnknownGeneration
from charhost.metrics import Metrics
from charhost.reload.attempt import Attempt
from charhost.reload.manager import CharacterManager
from charhost.reload.messages import not_kept
from charhost.reload.request import ReloadRequest
from charhost.reload.store import MOST_SETS
from charhost.report import ReloadReport
from charhost.settings import Settings
from tests.conftest import character, prompt
from tests.reload.helpers import TAGGED, Write, roll_back, sample, state
from tests.scripted import LIMIT


@pytest.fixture
def manager(manager_with_store: CharacterManager) -> CharacterManager:
    """A manager with a store of each kind."""
    return manager_with_store


def prompts_of(manager: CharacterManager) -> dict[str, Any]:
    """Return the prompt of each character."""
    return {name: prompt(manager, name) for name in manager.current}


def tagged(name: str) -> str:
    """Return the source of a character whose prompt is the `TAG` of a helper, imported when the prompt is made."""
    return character(name) + TAGGED


async def test_a_rollback_restores_the_characters_of_before(manager: CharacterManager, write: Write) -> None:
    """Without a generation a rollback restores the one before the current, and reports like a reload."""
    revision = manager.current.revision
    write("ada.py", character("Ada", "Be brief."))
    write("bob.py", character("Bob"))
    await manager.reload_characters()
    report = await roll_back(manager, reason="too brief")
    assert prompts_of(manager) == {"Ada": "Be kind."}
    assert (report.outcome, report.trigger, report.reason) == ("applied", "rollback", "too brief")
    assert (report.generation, report.revision) == (3, revision)
    assert (report.total_files, report.loaded_count, report.changes.removed) == (1, 1, ("Bob",))
    assert report.message.startswith("Successfully rolled back to generation 1: 1 character from ")


async def test_a_rollback_of_a_rollback_leads_forth_again(manager: CharacterManager, write: Write) -> None:
    """A second rollback restores the set that the first one replaced."""
    write("ada.py", character("Ada", "Be brief."))
    await manager.reload_characters()
    await roll_back(manager)
    await roll_back(manager)
    assert (prompt(manager), manager.current.generation) == ("Be brief.", 4)


async def test_a_rollback_may_lead_to_any_generation_that_is_kept(manager: CharacterManager, write: Write) -> None:
    """A rollback can restore any kept generation: also one that was a rollback, and the current one."""
    for text in ("two", "three"):
        write("ada.py", character("Ada", text))
        await manager.reload_characters()
    prompts = []
    for generation in (1, 2, 4, 5, 7, 8):
        await roll_back(manager, generation)
        prompts.append(prompt(manager))
    assert prompts == ["Be kind.", "two", "Be kind.", "two", "two", "two"]


async def test_a_rollback_needs_no_directory(manager: CharacterManager, directory: Path, write: Write) -> None:
    """A rollback takes all bytes, also those of helpers, from the store: it needs no directory (promise 32)."""
    write("resources/build.py", "TAG = 'one'")
    write("ada.py", tagged("Ada"))
    await manager.reload_characters()
    write("resources/build.py", "TAG = 'two'")
    await manager.reload_characters()
    shutil.rmtree(directory)
    await roll_back(manager)
    assert prompts_of(manager) == {"Ada": "one"}


async def test_a_rollback_leads_back_to_the_directory_too(manager: CharacterManager, tmp_path: Path) -> None:
    """A rollback to a generation of another directory makes that directory the current one."""
    first = manager.current.directory
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    await manager.reload_characters(ReloadRequest(directory=str(tmp_path / "other")))
    report = await roll_back(manager)
    assert (report.directory, manager.current.directory, list(manager.current)) == (first, first, ["Ada"])


async def test_each_character_has_the_helpers_it_was_built_with(manager: CharacterManager, write: Write) -> None:
    """A restored character has the helpers of its build, also if `changed` had carried it over (promise 32)."""
    write("_old.py", "TAG = 'old'")
    write("ada.py", f"{character('Ada')}\n    def make_system_prompt(self):\n{IMPORT_OLD}")
    write("bob.py", character("Bob", "one"))
    await manager.reload_characters()
    write("bob.py", character("Bob", "two"))
    write("notes.py", character("Notes"))
    await manager.reload_characters(ReloadRequest(scope="changed"))
    expected, revision = prompts_of(manager), manager.current.revision
    write("_old.py", "TAG = 'new'")
    write("bob.py", character("Bob", "three"))
    await manager.reload_characters()
    report = await roll_back(manager)
    assert (prompts_of(manager), report.revision) == (expected, revision)
    assert list(manager.current) == ["Ada", "Bob", "Notes"]


IMPORT_OLD = "        from characters._old import TAG\n        return TAG\n"


async def test_a_kept_version_is_restored_and_not_what_had_failed(manager: CharacterManager, write: Write) -> None:
    """A rollback restores a version that was kept, not the broken file (promise 32)."""
    write("bob.py", character("Bob", "one"))
    await manager.reload_characters()
    write("ada.py", "def broken(:")
    write("bob.py", character("Bob", "two"))
    await manager.reload_characters(ReloadRequest(scope="changed", on_error="keep"))
    expected, revision = prompts_of(manager), manager.current.revision
    write("ada.py", character("Ada", "mended"))
    await manager.reload_characters()
    report = await roll_back(manager)
    assert (prompts_of(manager), report.revision, report.errors) == (expected, revision, ())
    assert expected == {"Ada": "Be kind.", "Bob": "two"}


async def test_a_computed_import_means_the_build_that_serves_again(manager: CharacterManager, write: Write) -> None:
    """After a rollback `import_module("characters.x")` finds the module of the restored set."""
    late = "\n    def make_system_prompt(self):\n        import importlib\n"
    write("_tag.py", "TAG = 'one'")
    write("ada.py", f"{character('Ada')}{late}        return importlib.import_module('characters._' + 'tag').TAG\n")
    await manager.reload_characters()
    write("_tag.py", "TAG = 'two'")
    await manager.reload_characters()
    await roll_back(manager)
    assert prompt(manager) == "one"


async def test_a_computed_import_means_the_build_that_asks(manager: CharacterManager, write: Write) -> None:
    """In a set of several builds a computed import finds the asking file's own helper, also when it is restored."""
    late = "\n    def make_system_prompt(self):\n        import importlib\n"
    write("_tag.py", "TAG = 'one'")
    write("ada.py", f"{character('Ada')}{late}        return importlib.import_module('characters._' + 'tag').TAG\n")
    write("bob.py", character("Bob"))
    await manager.reload_characters()
    write("_tag.py", "TAG = 'two'")
    write("bob.py", character("Bob", "Be brief."))
    await manager.reload_characters(ReloadRequest(scope="changed"))
    assert prompt(manager) == "one"
    await manager.reload_characters()
    await roll_back(manager, 3)
    assert prompt(manager) == "one"


async def test_characters_of_one_build_share_their_helpers_again(manager: CharacterManager, write: Write) -> None:
    """Restored characters of one build share the state of their helpers."""
    write("_seen.py", "SEEN = []")
    for name in ("Ada", "Bob"):
        write(
            f"{name.lower()}.py", f"from characters._seen import SEEN\nSEEN.append({name!r})\n{character(name)}{SEEN}"
        )
    await manager.reload_characters()
    await roll_back(manager, 2)
    assert prompts_of(manager) == {"Ada": ["Ada", "Bob"], "Bob": ["Ada", "Bob"]}


SEEN = "\n    def make_system_prompt(self):\n        return SEEN\n"


async def test_a_rollback_that_cannot_restore_all_changes_nothing(
    manager: CharacterManager, write: Write, tmp_path: Path
) -> None:
    """A file that now fails, since it needs more than its bytes, refuses the rollback."""
    (tmp_path / "name.txt").write_text("Bob")
    write("bob.py", f"{character('Bob')}\nopen({str(tmp_path / 'name.txt')!r}).close()")
    await manager.reload_characters()
    (tmp_path / "name.txt").unlink()
    write("bob.py", character("Bob"))
    await manager.reload_characters()
    before = state(manager)
    with pytest.raises(ReloadRejected, match=r"bob.py:\d+: OSError") as refusal:
        await roll_back(manager)
    assert (refusal.value.code, state(manager)) == ("set_rejected", before)


@pytest.mark.parametrize("generation", [None, 0, 2, 99])
async def test_an_unknown_generation_changes_and_counts_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture, generation: int | None
) -> None:
    """An unknown generation leaves no report, metric, log line or entry in the history."""
    manager = CharacterManager(settings, metrics := Metrics())
    await manager.reload_characters(trigger="startup")
    before = state(manager)
    caplog.clear()
    with pytest.raises(UnknownGeneration, match=r"those that are( kept)?: 1\.$"):
        await roll_back(manager, generation)
    assert state(manager) == before
    assert sample(metrics.registry, "charhost_last_reload_successful") == 1
    assert "rollback" not in str(list(metrics.reloads.collect()))
    assert caplog.records == []
    assert len(await manager.store.attempts(100)) == 1


@pytest.mark.parametrize(
    ("generation", "kept", "sentence"),
    [
        (99, (5, 4), "Generation 99 is not kept; those that are: 5, 4."),
        (None, (3, 2), "There is no generation before the current one; name one of those that are kept: 3, 2."),
        (99, (), "Generation 99 is not kept; none is."),
        (None, (), "There is no generation before the current one, and no other is kept."),
    ],
)
def test_the_refusal_lists_the_generations(generation: int | None, kept: tuple[int, ...], sentence: str) -> None:
    """The refusal of an unknown generation lists those that are kept."""
    assert not_kept(generation, kept) == sentence


async def test_generations_are_kept_for_a_while(manager: CharacterManager) -> None:
    """Of more than twenty sets the oldest cannot be restored any more."""
    for _ in range(MOST_SETS):
        await manager.reload_characters()
    with pytest.raises(UnknownGeneration):
        await roll_back(manager, 1)
    await roll_back(manager, 2)


async def test_a_reload_after_a_rollback_reads_the_disk_again(manager: CharacterManager, write: Write) -> None:
    """A `changed` reload after a rollback compares the disk with the restored set."""
    write("ada.py", character("Ada", "Be brief."))
    await manager.reload_characters()
    await roll_back(manager)
    report = await manager.reload_characters(ReloadRequest(scope="changed"))
    assert (report.outcome, prompt(manager)) == ("applied", "Be brief.")


async def test_what_was_restored_is_carried_over_where_the_disk_is_the_same(
    manager: CharacterManager, write: Write
) -> None:
    """A `changed` reload of the restored content is `unchanged`."""
    write("ada.py", character("Ada", "Be brief."))
    await manager.reload_characters()
    await roll_back(manager)
    write("ada.py", character("Ada"))
    assert (await manager.reload_characters(ReloadRequest(scope="changed"))).outcome == "unchanged"


async def test_rollbacks_leave_no_trace(manager: CharacterManager, write: Write) -> None:
    """Forty rollbacks leave as many builds alive as one (promise 25)."""
    write("ada.py", character("Ada", "Be brief."))
    await manager.reload_characters()
    for _ in range(40):
        await roll_back(manager)
    async with asyncio.timeout(LIMIT):  # a thread of the last one may hold it for a moment
        while manager._loader._context.builds_alive != 1:
            gc.collect()
            await asyncio.sleep(0.001)


async def test_a_rollback_is_checked_in_a_child_process_where_reloads_are(directory: Path, write: Write) -> None:
    """With `check_isolated` a rollback whose file now ends its process is refused."""
    manager = CharacterManager(Settings(directory=directory, check_isolated=True), Metrics())
    flag = directory.parent / "deadly"
    write("ada.py", f"import os\nif os.path.exists({str(flag)!r}):\n    os._exit(1)\n{character('Ada')}")
    await manager.reload_characters()
    await manager.reload_characters()
    flag.touch()
    with pytest.raises(ReloadRejected) as refusal:
        await roll_back(manager)
    await manager.close(1)
    assert (refusal.value.code, refusal.value.report.errors[0].file) == ("isolated_load_failed", "ada.py")


async def test_only_a_rollback_to_a_kept_generation_begins(manager: CharacterManager) -> None:
    """A rollback that is not attempted begins for no listener, since no report would end it."""
    begun: list[Attempt] = []
    ended: list[ReloadReport] = []
    manager.listen(ended.append, begun.append)
    with pytest.raises(UnknownGeneration):
        await roll_back(manager, generation=99)
    await manager.reload_characters()
    assert [attempt.reload_id for attempt in begun] == [report.reload_id for report in ended]
