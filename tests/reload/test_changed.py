"""What `scope: "changed"` carries over and builds anew, and what `on_error: "keep"` keeps."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charhost.errors import ReloadRejected
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.report import ReloadReport
from charhost.settings import Settings
from tests.conftest import Client, character, prompt

Write = Callable[[str, str], Path]

BROKEN = "def broken(:\n"


def using(name: str, helper: str) -> str:
    """The source of a character whose text is `WORDS` of a helper."""
    return f"from characters.{helper} import WORDS\n{character(name)}\nINSTRUCTIONS = {{'text': WORDS}}\n"


def noting(name: str, notes: Path, then: str = "") -> str:
    """The source of a character that notes each time it is run."""
    return f"with open({str(notes)!r}, 'a') as notes:\n    notes.write({name!r} + ' ')\n{then}\n{character(name)}"


def runs(notes: Path) -> list[str]:
    """Which characters were run, in order."""
    return notes.read_text().split() if notes.exists() else []


class World:
    """A manager and its metrics; `changed` is the reload that a watcher asks for."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self.manager = CharacterManager(settings, self.metrics)

    async def changed(self, **fields: Any) -> ReloadReport:
        return await self.manager.reload_characters(ReloadRequest(**{"scope": "changed", **fields}))

    async def keep(self, **fields: Any) -> ReloadReport:
        return await self.changed(on_error="keep", **fields)

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"charhost_{name}")


@pytest.fixture
async def world(settings: Settings, write: Write) -> World:
    """Ada, and Bob and Carl with a helper each, loaded."""
    write("tone.py", "WORDS = 'x'\n").rename(settings.directory / "_tone.py")
    write("resources/mood.py", "WORDS = 'calm'\n")
    write("bob.py", using("Bob", "_tone"))
    write("carl.py", using("Carl", "resources.mood"))
    world = World(settings)
    await world.manager.reload_characters(trigger="startup")
    return world


# What changed is built, and nothing else.


async def test_unchanged_characters_are_the_same_objects(world: World, write: Write) -> None:
    """An edit of one file leaves the other characters as they are, in the modules they have."""
    before = world.manager.current
    write("ada.py", character("Ada", "Be brief."))
    report = await world.changed()
    after = world.manager.current
    assert (report.changes.modified, report.changes.unchanged) == (("Ada",), 2)
    assert [name for name in before if after[name] is before[name]] == ["Bob", "Carl"]
    assert after["Bob"].prompt_generator.__module__ == before["Bob"].prompt_generator.__module__
    assert prompt(world.manager) == "Be brief."


async def test_carried_character_keeps_the_generation_that_loaded_it(world: World, write: Write) -> None:
    """The set has a new generation, and so has what was built; what was carried has its old one."""
    write("ada.py", character("Ada", "Be brief."))
    await world.changed()
    current = world.manager.current
    assert (current.generation, current["Ada"].generation, current["Bob"].generation) == (2, 2, 1)


async def test_scope_all_builds_everything(world: World, write: Write) -> None:
    """With `all` no character is carried, changed or not."""
    before = world.manager.current
    write("ada.py", character("Ada", "Be brief."))
    report = await world.changed(scope="all")
    assert report.changes.modified == ("Ada",)
    assert not [name for name in before if world.manager.current[name] is before[name]]


async def test_helper_rebuilds_exactly_its_dependents(world: World, write: Write) -> None:
    """An edit of a helper makes those anew that import it, and no others (promise 26)."""
    before = world.manager.current
    write("resources/mood.py", "WORDS = 'wild'\n")
    report = await world.changed()
    assert report.changes.modified == ("Carl",)
    assert [name for name in before if world.manager.current[name] is before[name]] == ["Ada", "Bob"]
    assert prompt(world.manager, "Carl") == "wild"


async def test_helper_of_a_helper_counts(world: World, write: Write) -> None:
    """A change two imports away is a change (promise 26)."""
    write("resources/mood.py", "from .base import WORDS\n")
    write("resources/base.py", "WORDS = 'one'\n")
    await world.changed()
    write("resources/base.py", "WORDS = 'two'\n")
    assert (await world.changed()).changes.modified == ("Carl",)
    assert prompt(world.manager, "Carl") == "two"


async def test_helper_imported_inside_a_function_counts(world: World, write: Write) -> None:
    """A helper that is imported when the prompt is made belongs to the character too (promise 26)."""
    late = character("Ada").replace("return self.", "from characters._late import WORDS\n        return WORDS or self.")
    write("ada.py", late)
    write("_late.py", "WORDS = 'one'\n")
    await world.changed()
    write("_late.py", "WORDS = 'two'\n")
    assert (await world.changed()).changes.modified == ("Ada",)
    assert prompt(world.manager) == "two"


async def test_edit_of_the_same_size_and_times_is_seen(world: World, write: Write) -> None:
    """A helper edited within a second, to the same size, is the code that runs (promise 26)."""
    for words in ("wild", "warm", "cold"):
        write("resources/mood.py", f"WORDS = '{words}'\n")
        await world.changed()
        assert prompt(world.manager, "Carl") == words


async def test_deleted_helper_is_an_error_of_its_importers(world: World, settings: Settings) -> None:
    """A file that imports what is gone fails, and others do not (promise 26)."""
    (settings.directory / "resources" / "mood.py").unlink()
    report = await world.changed()
    assert [(e.file, e.line, e.error_type) for e in report.errors] == [("carl.py", 1, "ImportError")]
    assert list(world.manager.current) == ["Ada", "Bob"]


async def test_helper_that_appears_is_taken(world: World, write: Write) -> None:
    """A character that gets on without a helper is built anew when there is one, and when it is gone (promise 26)."""
    attempt = "try:\n    from characters import _local\nexcept ImportError:\n    _local = None\n"
    write("ada.py", f"{attempt}{character('Ada')}\nINSTRUCTIONS = {{'text': _local.WORDS if _local else 'none'}}\n")
    await world.changed()
    assert prompt(world.manager) == "none"
    helper = write("_local.py", "WORDS = 'mine'\n")
    assert (await world.changed()).changes.modified == ("Ada",)
    assert prompt(world.manager) == "mine"
    helper.unlink()
    assert (await world.changed()).changes.modified == ("Ada",)
    assert prompt(world.manager) == "none"


async def test_added_removed_and_renamed_files_are_named(world: World, write: Write, settings: Settings) -> None:
    """The report names who came and who went; a file with a new name is built anew."""
    before = world.manager.current
    write("eve.py", character("Eve"))
    (settings.directory / "ada.py").unlink()
    (settings.directory / "bob.py").rename(settings.directory / "robert.py")
    report = await world.changed()
    assert (report.changes.added, report.changes.removed) == (("Eve",), ("Ada",))
    assert world.manager.current["Bob"].file == "robert.py"
    assert world.manager.current["Carl"] is before["Carl"]


async def test_only_what_changed_is_run(world: World, write: Write, tmp_path: Path) -> None:
    """The code of a carried character is not executed again, that of a changed one is, once."""
    notes = tmp_path / "notes"
    for name in ("Ann", "Ben"):
        write(f"{name}.py", noting(name, notes))
    await world.changed()
    write("Ben.py", noting("Ben", notes, "# edited"))
    await world.changed()
    assert runs(notes) == ["Ann", "Ben", "Ben"]


async def test_another_directory_is_all_new(world: World, tmp_path: Path) -> None:
    """Nothing is carried from one directory to another, even where the files are the same."""
    other = tmp_path / "other"
    other.mkdir()
    for file in ("ada.py", "_tone.py", "bob.py"):
        (other / file).write_bytes((tmp_path / "characters" / file).read_bytes())
    before = world.manager.current
    report = await world.changed(directory=str(other))
    assert (report.outcome, report.changes.removed, report.changes.unchanged) == ("applied", ("Carl",), 2)
    assert world.manager.current["Ada"] is not before["Ada"]


async def test_dry_run_tells_and_changes_nothing(world: World, write: Write) -> None:
    """A dry run of `changed` predicts the run that follows it."""
    before = world.manager.current
    write("ada.py", character("Ada", "Be brief."))
    predicted = await world.changed(dry_run=True)
    assert (predicted.outcome, world.manager.current) == ("valid", before)
    assert (await world.changed()).changes == predicted.changes


# Nothing changed.


async def test_unchanged_is_no_swap(world: World, settings: Settings) -> None:
    """Without a change the same set serves on, under its generation (promise 18)."""
    before = world.manager.current
    (settings.directory / "ada.py").touch()
    report = await world.changed()
    assert (report.outcome, report.success, report.loaded_count) == ("unchanged", True, 3)
    assert world.manager.current is before
    assert (report.generation, report.sessions.affected, report.changes.unchanged) == (1, 0, 3)


async def test_change_of_an_unused_helper_is_no_swap(world: World, write: Write) -> None:
    """A helper that nobody imports changes no character."""
    write("resources/unused.py", "1\n")
    assert (await world.changed()).outcome == "unchanged"


async def test_unchanged_touches_no_session(client: Client) -> None:
    """A client hears nothing of a reload that found nothing new (promise 18)."""
    async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
        await ws.receive_json()
        answer = await client.post("/v1/characters/reload", json={"scope": "changed"})
        assert (await answer.json())["sessions"] == {"policy": "close", "total": 1, "affected": 0}
        await ws.send_json({"type": "session.update", "session": {"type": "realtime"}})
        assert (await ws.receive_json())["type"] == "session.updated"


# Files that fail.


async def test_known_failure_is_not_run_again(world: World, write: Write, tmp_path: Path) -> None:
    """A file whose bytes have failed is reported again and not executed again."""
    notes = tmp_path / "notes"
    write("wrong.py", noting("Wrong", notes, "1 / 0"))
    (first,) = (await world.changed()).errors
    write("ada.py", character("Ada", "Be brief."))
    (second,) = (await world.changed()).errors
    assert (first, runs(notes)) == (second, ["Wrong"])


async def test_failure_is_run_again_when_a_helper_changed(world: World, write: Write, tmp_path: Path) -> None:
    """A failure is not carried past a change of what the file imports."""
    notes = tmp_path / "notes"
    write("_helper.py", "RIGHT = False\n")
    write("wrong.py", noting("Wrong", notes, "from characters._helper import RIGHT\nassert RIGHT"))
    assert (await world.changed()).error_count == 1
    write("_helper.py", "RIGHT = True\n")
    assert ((await world.changed()).error_count, runs(notes)) == (0, ["Wrong", "Wrong"])


async def test_scope_all_runs_a_known_failure_again(world: World, write: Write, tmp_path: Path) -> None:
    """A reload of everything gives a file that failed another chance."""
    notes = tmp_path / "notes"
    write("wrong.py", noting("Wrong", notes, "1 / 0"))
    await world.changed()
    await world.changed(scope="all")
    assert runs(notes) == ["Wrong", "Wrong"]


async def test_repaired_file_loads(world: World, write: Write) -> None:
    """Nothing is left of a failure once it is repaired: no error, and the metric is 1 (promise 20)."""
    write("ada.py", BROKEN)
    await world.keep()
    write("ada.py", character("Ada", "Repaired."))
    report = await world.keep()
    assert (report.error_count, report.changes.modified, prompt(world.manager)) == (0, ("Ada",), "Repaired.")
    assert (world.manager.last_error, world.value("last_reload_successful")) == (None, 1)


async def test_keep_keeps_the_last_good_version(world: World, write: Write) -> None:
    """With `keep` a file that fails serves on as the object it was, and the report says what is wrong."""
    before = world.manager.current
    write("ada.py", BROKEN)
    write("bob.py", character("Bob", "New."))
    report = await world.keep()
    assert ([e.file for e in report.errors], report.loaded_count, report.changes.modified) == (["ada.py"], 3, ("Bob",))
    assert (world.manager.current["Ada"], prompt(world.manager, "Bob")) == (before["Ada"], "New.")


async def test_keep_serves_in_the_order_of_the_files(world: World, write: Write) -> None:
    """A version that was kept stands where its file stands."""
    write("bob.py", BROKEN)
    write("ada.py", character("Ada", "New."))
    await world.keep()
    assert list(world.manager.current) == ["Ada", "Bob", "Carl"]


async def test_exclude_leaves_a_failing_file_out(world: World, write: Write) -> None:
    """With `exclude`, the default, a character whose file fails is gone."""
    write("ada.py", BROKEN)
    report = await world.changed()
    assert (report.outcome, report.changes.removed, "Ada" in world.manager.current) == ("applied", ("Ada",), False)
    assert world.value("last_reload_successful") == 1


async def test_abort_leaves_everything(world: World, write: Write) -> None:
    """With `abort` one failing file refuses the change of another (promise 2)."""
    before = world.manager.current
    write("ada.py", BROKEN)
    write("bob.py", character("Bob", "New."))
    with pytest.raises(ReloadRejected, match=r"ada\.py:1: SyntaxError"):
        await world.changed(on_error="abort")
    assert world.manager.current is before


async def test_keep_counts_as_unsuccessful(world: World, write: Write) -> None:
    """While a version is kept the metric is 0 and the error is shown, although the reload succeeded (promise 5)."""
    write("ada.py", BROKEN)
    report = await world.keep()
    assert (report.outcome, report.success, world.value("last_reload_successful")) == ("unchanged", True, 0)
    assert world.manager.last_error == report


async def test_keep_with_a_file_that_never_loaded(world: World, write: Write) -> None:
    """Of a file that never was good there is nothing to keep; it is an error, and the others serve."""
    write("wrong.py", BROKEN)
    report = await world.keep()
    assert (report.outcome, report.loaded_count, [e.file for e in report.errors]) == ("unchanged", 3, ["wrong.py"])


async def test_keep_lets_a_removed_file_go(world: World, settings: Settings) -> None:
    """A file that is gone did not fail: its character goes with it."""
    (settings.directory / "ada.py").unlink()
    assert (await world.keep()).changes.removed == ("Ada",)


async def test_keep_keeps_nothing_of_another_directory(world: World, tmp_path: Path) -> None:
    """A file that fails in one directory is not replaced by its namesake of another."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "ada.py").write_text(BROKEN)
    (other / "eve.py").write_text(character("Eve"))
    report = await world.keep(directory=str(other))
    assert (list(world.manager.current), [e.file for e in report.errors]) == (["Eve"], ["ada.py"])


async def test_keep_of_a_helper_that_fails(world: World, write: Write) -> None:
    """When a helper breaks, those who import it serve on with the old one (promise 23)."""
    before = world.manager.current["Carl"]
    write("resources/mood.py", BROKEN)
    report = await world.keep()
    assert ([e.file for e in report.errors], world.manager.current["Carl"]) == (["carl.py"], before)
    assert prompt(world.manager, "Carl") == "calm"


async def test_keep_of_a_file_that_takes_a_name(world: World, write: Write) -> None:
    """A file that takes the name of an earlier one fails, so its own last good version stays."""
    before = world.manager.current
    write("bob.py", character("Ada"))
    report = await world.keep()
    assert [(e.file, e.error_type) for e in report.errors] == [("bob.py", "DuplicateName")]
    assert (list(world.manager.current), world.manager.current["Bob"]) == (["Ada", "Bob", "Carl"], before["Bob"])


async def test_keep_with_scope_all_keeps_too(world: World, write: Write) -> None:
    """`keep` does not depend on the scope: what fails stays, all else is new."""
    before = world.manager.current
    write("ada.py", BROKEN)
    await world.changed(scope="all", on_error="keep")
    assert [name for name in before if world.manager.current[name] is before[name]] == ["Ada"]


async def test_keep_survives_many_bad_saves(world: World, write: Write) -> None:
    """One bad save after another keeps the same last good version (promise 22)."""
    before = world.manager.current
    for number in range(5):
        write("ada.py", f"{number} / 0\n")
        assert (await world.keep()).error_count == 1
    assert world.manager.current is before


# Memory.


async def test_many_edits_of_one_character_leave_no_trace(settings: Settings, write: Write) -> None:
    """After 1,000 edits of one of twenty characters the others are untouched and no old build is left (promise 25)."""
    for number in range(20):
        write(f"c{number:02}.py", character(f"C{number:02}"))
    world = World(settings)
    await world.changed()
    before, old = world.manager.current, []
    for number in range(1000):
        old.append(weakref.ref(world.manager.current["C07"].prompt_generator))
        write("c07.py", character("C07", f"Edit {number}."))
        assert (await world.changed()).changes.modified == ("C07",)
    await alive(world, 2)
    assert [name for name in before if world.manager.current[name] is not before[name]] == ["C07"]
    assert spaces(world.manager) == spaces_left(world.manager)
    assert [ref() for ref in old[1:]] == [None] * 999


async def test_modules_of_a_carried_set_are_bounded(settings: Settings, write: Write) -> None:
    """Edits of each character in turn leave at most one old module space for each of them (promise 25)."""
    for number in range(5):
        write(f"c{number}.py", character(f"C{number}"))
    world = World(settings)
    await world.changed()
    for number in range(30):
        write(f"c{number % 5}.py", character(f"C{number % 5}", f"Edit {number}."))
        await world.changed()
    await alive(world, 6)
    assert len(spaces(world.manager)) == 6


async def alive(world: World, builds: int) -> None:
    """Wait until the threads of the last build have let it go, and no more than so many builds are left."""
    async with asyncio.timeout(10):
        while world.value("builds_alive") != builds:
            gc.collect()
            await asyncio.sleep(0.01)
    gc.collect()


def spaces(manager: CharacterManager) -> set[str]:
    """The module spaces that the current set lives in: `characters.b7`, …"""
    modules = [one.prompt_generator.__module__ for one in manager.current.values()]
    return {".".join(module.split(".")[:2]) for module in modules}


def spaces_left(manager: CharacterManager) -> set[str]:
    """The module spaces with files of the current directory that are still in `sys.modules`."""
    files = [(name, getattr(module, "__file__", None)) for name, module in sys.modules.items()]
    here = [name for name, file in files if file and file.startswith(f"{manager.current.directory}/")]
    return {".".join(name.split(".")[:2]) for name in here}


async def test_slash_at_the_end_is_no_change(manager: CharacterManager, directory: Path) -> None:
    """The same directory, spelled with a slash at its end, is the same directory (promise 18)."""
    report = await manager.reload_characters(ReloadRequest(directory=f"{directory}/", scope="changed"))
    assert (report.outcome, report.generation) == ("unchanged", 1)
