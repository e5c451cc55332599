"""What a rollback promises, and what a reload that names the set it expects does."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from charhost.errors import ReloadRejected, RevisionMismatch, UnknownGeneration
from charhost.loading.stored_set import StoredSet
from charhost.metrics import Metrics
from charhost.reload.attempt import FromHistory, Source
from charhost.reload.manager import CharacterManager
from charhost.reload.messages import not_kept
from charhost.reload.request import ReloadRequest, RollbackRequest
from charhost.reload.store import MOST_SETS, MemoryStore
from charhost.report import ReloadReport, Trigger
from charhost.settings import Settings
from charhost.storage.state_file import StateFile
from tests.conftest import character, prompt
from tests.reload.helpers import TAGGED, Gate, Write, sample, state
from tests.scripted import LIMIT


@pytest.fixture(params=["memory", "file"])
async def manager(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path
) -> AsyncIterator[CharacterManager]:
    """A manager that has loaded the directory, with a store of each kind."""
    file = StateFile(tmp_path / "state.db") if request.param == "file" else None
    if file is not None:
        await file.open()
    manager = CharacterManager(settings, Metrics(), store=file.history if file else None)
    await manager.reload_characters(trigger="startup")
    yield manager
    if file is not None:
        await file.close()


async def roll_back(
    manager: CharacterManager, generation: int | None = None, etags: tuple[str, ...] | None = None, **fields: Any
) -> ReloadReport:
    """Roll back as the endpoint does."""
    request = RollbackRequest(**fields).as_reload
    return await manager.reload_characters(request, FromHistory(generation), trigger="rollback", etags=etags)


def said(manager: CharacterManager) -> dict[str, Any]:
    """What each character says it is."""
    return {name: prompt(manager, name) for name in manager.current}


def tagged(name: str) -> str:
    """A character whose prompt is the `TAG` of a helper, imported when it is asked."""
    return character(name) + TAGGED


# Rollback


async def test_a_rollback_restores_the_characters_of_before(manager: CharacterManager, write: Write) -> None:
    """Without a generation it is the one before the current; the answer is a report like any other."""
    revision = manager.current.revision
    write("ada.py", character("Ada", "Be brief."))
    write("bob.py", character("Bob"))
    await manager.reload_characters()
    report = await roll_back(manager, reason="too brief")
    assert said(manager) == {"Ada": "Be kind."}
    assert (report.outcome, report.trigger, report.reason) == ("applied", "rollback", "too brief")
    assert (report.generation, report.revision) == (3, revision)
    assert (report.total_files, report.loaded_count, report.changes.removed) == (1, 1, ("Bob",))
    assert report.message.startswith("Successfully rolled back to generation 1: 1 character from ")


async def test_a_rollback_of_a_rollback_leads_forth_again(manager: CharacterManager, write: Write) -> None:
    """The generation before the current is then the one that was left."""
    write("ada.py", character("Ada", "Be brief."))
    await manager.reload_characters()
    await roll_back(manager)
    await roll_back(manager)
    assert (prompt(manager), manager.current.generation) == ("Be brief.", 4)


async def test_a_rollback_may_lead_to_any_generation_that_is_kept(manager: CharacterManager, write: Write) -> None:
    """Also to one that was itself a rollback, and to the current one."""
    for text in ("two", "three"):
        write("ada.py", character("Ada", text))
        await manager.reload_characters()
    prompts = []
    for generation in (1, 2, 4, 5, 7, 8):
        await roll_back(manager, generation)
        prompts.append(prompt(manager))
    assert prompts == ["Be kind.", "two", "Be kind.", "two", "two", "two"]


async def test_a_rollback_needs_no_directory(manager: CharacterManager, directory: Path, write: Write) -> None:
    """The bytes come from the store, those of helpers too, although the directory is gone (promise 32)."""
    write("resources/build.py", "TAG = 'one'")
    write("ada.py", tagged("Ada"))
    await manager.reload_characters()
    write("resources/build.py", "TAG = 'two'")
    await manager.reload_characters()
    shutil.rmtree(directory)
    await roll_back(manager)
    assert said(manager) == {"Ada": "one"}


async def test_a_rollback_leads_back_to_the_directory_too(manager: CharacterManager, tmp_path: Path) -> None:
    """A generation from another directory is served as from there."""
    first = manager.current.directory
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bob.py").write_text(character("Bob"))
    await manager.reload_characters(ReloadRequest(directory=str(tmp_path / "other")))
    report = await roll_back(manager)
    assert (report.directory, manager.current.directory, list(manager.current)) == (first, first, ["Ada"])


async def test_each_character_has_the_helpers_it_was_built_with(manager: CharacterManager, write: Write) -> None:
    """Those that `changed` carried over come from the build they had, and the others from theirs (promise 32)."""
    write("_old.py", "TAG = 'old'")
    write("ada.py", f"{character('Ada')}\n    def make_system_prompt(self):\n{IMPORT_OLD}")
    write("bob.py", character("Bob", "one"))
    await manager.reload_characters()
    write("bob.py", character("Bob", "two"))
    write("notes.py", character("Notes"))
    await manager.reload_characters(ReloadRequest(scope="changed"))
    expected, revision = said(manager), manager.current.revision
    write("_old.py", "TAG = 'new'")
    write("bob.py", character("Bob", "three"))
    await manager.reload_characters()
    report = await roll_back(manager)
    assert (said(manager), report.revision) == (expected, revision)
    assert list(manager.current) == ["Ada", "Bob", "Notes"]


IMPORT_OLD = "        from characters._old import TAG\n        return TAG\n"


async def test_a_kept_version_is_restored_and_not_what_had_failed(manager: CharacterManager, write: Write) -> None:
    """A character whose new file was broken serves again as the version that was kept (promise 32)."""
    write("bob.py", character("Bob", "one"))
    await manager.reload_characters()
    write("ada.py", "def broken(:")
    write("bob.py", character("Bob", "two"))
    await manager.reload_characters(ReloadRequest(scope="changed", on_error="keep"))
    expected, revision = said(manager), manager.current.revision
    write("ada.py", character("Ada", "mended"))
    await manager.reload_characters()
    report = await roll_back(manager)
    assert (said(manager), report.revision, report.errors) == (expected, revision, ())
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


async def test_a_computed_import_means_the_latest_of_the_builds_restored(
    manager: CharacterManager, write: Write
) -> None:
    """Of a set that came from several builds the newest one answers, as it did when that set served."""
    late = "\n    def make_system_prompt(self):\n        import importlib\n"
    write("_tag.py", "TAG = 'one'")
    write("ada.py", f"{character('Ada')}{late}        return importlib.import_module('characters._' + 'tag').TAG\n")
    write("bob.py", character("Bob"))
    await manager.reload_characters()
    write("_tag.py", "TAG = 'two'")
    write("bob.py", character("Bob", "Be brief."))
    await manager.reload_characters(ReloadRequest(scope="changed"))
    assert prompt(manager) == "two"
    await manager.reload_characters()
    await roll_back(manager, 3)
    assert prompt(manager) == "two"


async def test_characters_of_one_build_share_their_helpers_again(manager: CharacterManager, write: Write) -> None:
    """What a helper remembers is common to those that were built together, as it was."""
    write("_seen.py", "SEEN = []")
    for name in ("Ada", "Bob"):
        write(
            f"{name.lower()}.py", f"from characters._seen import SEEN\nSEEN.append({name!r})\n{character(name)}{SEEN}"
        )
    await manager.reload_characters()
    await roll_back(manager, 2)
    assert said(manager) == {"Ada": ["Ada", "Bob"], "Bob": ["Ada", "Bob"]}


SEEN = "\n    def make_system_prompt(self):\n        return SEEN\n"


async def test_a_rollback_that_cannot_restore_all_changes_nothing(
    manager: CharacterManager, write: Write, tmp_path: Path
) -> None:
    """A file that now fails, since it needs more than its bytes, refuses the whole."""
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
    """There is no report, no metric, no line in the log and no entry in the history."""
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
    ("generation", "kept", "said"),
    [
        (99, (5, 4), "Generation 99 is not kept; those that are: 5, 4."),
        (None, (3, 2), "There is no generation before the current one; name one of those that are kept: 3, 2."),
        (99, (), "Generation 99 is not kept; none is."),
        (None, (), "There is no generation before the current one, and no other is kept."),
    ],
)
def test_the_refusal_says_which_generations_there_are(generation: int | None, kept: tuple[int, ...], said: str) -> None:
    """Whoever names one that is not kept learns those that are."""
    assert not_kept(generation, kept) == said


async def test_generations_are_kept_for_a_while(manager: CharacterManager) -> None:
    """Beyond twenty sets the oldest can no longer be rolled back to."""
    for _ in range(MOST_SETS):
        await manager.reload_characters()
    with pytest.raises(UnknownGeneration):
        await roll_back(manager, 1)
    await roll_back(manager, 2)


async def test_a_reload_after_a_rollback_reads_the_disk_again(manager: CharacterManager, write: Write) -> None:
    """What lies there is compared with what was restored."""
    write("ada.py", character("Ada", "Be brief."))
    await manager.reload_characters()
    await roll_back(manager)
    report = await manager.reload_characters(ReloadRequest(scope="changed"))
    assert (report.outcome, prompt(manager)) == ("applied", "Be brief.")


async def test_what_was_restored_is_carried_over_where_the_disk_is_the_same(
    manager: CharacterManager, write: Write
) -> None:
    """A `changed` reload of the very same content is `unchanged`."""
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
        while manager._loader.builds_alive != 1:
            gc.collect()
            await asyncio.sleep(0.001)


async def test_a_rollback_is_checked_in_a_child_process_where_reloads_are(directory: Path, write: Write) -> None:
    """What ends a child process now is refused, whatever it did before."""
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


# If-Match


async def test_a_reload_may_name_the_set_that_it_expects(manager: CharacterManager) -> None:
    """It runs if one of those named serves."""
    report = await manager.reload_characters(etags=("nonsense", manager.current.etag))
    assert report.generation == 2


@pytest.mark.parametrize(("trigger", "source"), [("http", None), ("rollback", FromHistory())])
async def test_a_set_that_is_not_the_expected_one_is_left_alone(
    settings: Settings, trigger: Trigger, source: Source
) -> None:
    """Nothing is read, counted or kept."""
    manager = CharacterManager(settings, metrics := Metrics())
    await manager.reload_characters(trigger="startup")
    etag, _ = manager.current.etag, await manager.reload_characters()
    before = state(manager)
    with pytest.raises(RevisionMismatch, match=manager.current.etag):
        await manager.reload_characters(source=source, trigger=trigger, etags=(etag,))
    assert state(manager) == before
    assert sample(metrics.registry, "charhost_reloads_total", trigger=trigger, outcome="rejected") is None
    assert len(await manager.store.attempts(100)) == 2


async def test_what_is_expected_is_compared_after_the_reloads_before(
    manager: CharacterManager, write: Write, gate: Gate
) -> None:
    """Of two that name the same set at the same time only the first has its way."""
    write("ada.py", f"{character('Ada')}\nimport gate; gate.wait()")
    etag = manager.current.etag
    first = asyncio.create_task(manager.reload_characters(ReloadRequest(reason="first"), etags=(etag,)))
    await gate.until_reached()
    second = asyncio.create_task(manager.reload_characters(ReloadRequest(reason="second"), etags=(etag,)))
    await asyncio.sleep(0)
    gate.opened.set()
    assert (await first).outcome == "applied"
    with pytest.raises(RevisionMismatch):
        await second


async def test_only_equal_conditions_share_a_run(manager: CharacterManager) -> None:
    """Two that differ in nothing but the set they expect, or the generation they want, are two."""
    etag = manager.current.etag
    conditions = [None, (etag,)]
    await asyncio.gather(*(manager.reload_characters(etags=etags) for etags in conditions), return_exceptions=True)
    assert manager.current.generation == 2
    await asyncio.gather(roll_back(manager, 1), roll_back(manager, 2), roll_back(manager, 2))
    assert manager.current.generation == 4
    assert FromHistory() != FromHistory(1)


# History


async def test_every_attempt_is_in_the_history(manager: CharacterManager, write: Write) -> None:
    """Refused, unchanged and dry runs too, the newest first (promise 31)."""
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
    """A store that can write nothing."""

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        raise OSError(28, "No space left on device")


async def test_a_store_that_fails_costs_history_and_no_reload(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The reload is applied; the log and a metric say what was lost."""
    manager = CharacterManager(settings, metrics := Metrics(), store=FullDisk())
    with caplog.at_level(logging.ERROR):
        report = await manager.reload_characters(trigger="startup")
    assert (report.outcome, list(manager.current)) == ("applied", ["Ada"])
    assert sample(metrics.registry, "charhost_history_errors_total") == 1
    assert f"the reload {report.reload_id} could not be kept in the history" in caplog.text


class Unreadable(MemoryStore):
    """A store that can read nothing."""

    async def generations(self) -> tuple[int, ...]:
        raise OSError(5, "Input/output error")


async def test_a_store_that_cannot_be_read_fails_the_rollback(settings: Settings) -> None:
    """It is a fault of the server, reported like any other, and changes nothing."""
    manager = CharacterManager(settings, Metrics(), store=Unreadable())
    await manager.reload_characters(trigger="startup")
    with pytest.raises(ReloadRejected) as refusal:
        await roll_back(manager)
    assert (refusal.value.code, manager.current.generation) == ("internal_error", 1)
