"""The watcher does not undo a rollback."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from charhost.loading.stored_set import StoredSet
from charhost.reload.attempt import FromHistory
from charhost.reload.request import ReloadRequest, RollbackRequest
from charhost.settings import Settings
from tests.conftest import character, prompt
from tests.reload.helpers import Gate, Write, loaded_manager
from tests.watch.edits import add_file
from tests.watch.helpers import Watched, eventually, watching


async def roll_back(watched: Watched, generation: int | None = None) -> None:
    """Roll back as the endpoint does, and wait until the watcher has compared the disk again."""
    request = RollbackRequest().as_reload
    await watched.manager.reload_characters(request, FromHistory(generation), trigger="rollback")
    await watched.reports.get()
    compared = watched.compared()
    await eventually(lambda: watched.compared() > compared)


@pytest.fixture
async def edited(watched: Watched) -> Watched:
    """A watched directory in which an edit of Ada is served."""
    await watched.armed()
    (watched.directory / "ada.py").write_text(character("Ada", "Edited."))
    await watched.equal()
    while not watched.reports.empty():
        watched.reports.get_nowait()
    return watched


async def test_a_rollback_is_not_undone(edited: Watched) -> None:
    """After a rollback the files from before it are held, also when they are touched or saved again."""
    await roll_back(edited)
    for edit in (os.utime, lambda file: file.write_text(character("Ada", "Edited."))):
        compared = edited.compared()
        edit(edited.directory / "ada.py")
        await eventually(lambda before=compared: edited.compared() > before)  # type: ignore[misc]
    assert (prompt(edited.manager), edited.value("watcher_held"), edited.watcher.status.held) == (
        "Be kind.",
        1,
        True,
    )
    assert edited.reports.empty()


async def test_a_rollback_ends_with_the_next_change_of_the_disk(edited: Watched) -> None:
    """The next change of the disk after a rollback makes the set follow all of the disk again (promise 32)."""
    await roll_back(edited)
    add_file(edited.directory)
    await edited.equal()
    assert (prompt(edited.manager), "Eve" in edited.manager.current) == ("Edited.", True)
    await eventually(lambda: edited.value("watcher_held") == 0)


async def test_a_rollback_is_not_undone_by_an_earlier_save(edited: Watched) -> None:
    """A save before the rollback that no comparison has seen does not undo it."""
    (edited.directory / "ada.py").write_text(character("Ada", "Edited again."))
    await roll_back(edited)
    assert (prompt(edited.manager), edited.reports.empty()) == ("Be kind.", True)


async def test_a_reload_that_waits_behind_a_rollback_does_not_undo_it(
    directory: Path, write: Write, gate: Gate
) -> None:
    """A reload of the watcher that was queued behind a rollback is dropped as outdated."""
    gate.opened.set()
    write("slow.py", f"{character('Slow')}\nimport gate; gate.wait()")
    async with watching(directory) as watched:
        await watched.armed()
        gate.opened.clear()
        gate.reached.clear()
        first = asyncio.create_task(watched.manager.reload_characters())
        await gate.until_reached()
        back = asyncio.create_task(watched.manager.reload_characters(source=FromHistory(1), trigger="rollback"))
        await asyncio.sleep(0)
        write("ada.py", character("Ada", "Edited."))
        await eventually(lambda: len(watched.manager._queue._tasks) == 3)
        gate.opened.set()
        await asyncio.gather(first, back)
        await eventually(lambda: watched.compared("outdated"))
        compared = watched.compared()
        await eventually(lambda: watched.compared() > compared)
        assert (prompt(watched.manager), watched.value("watcher_held")) == ("Be kind.", 1)


async def test_resume_ends_the_hold_of_a_rollback(edited: Watched) -> None:
    """After `resume` the files on the disk serve again."""
    await roll_back(edited)
    edited.watcher.resume()
    assert edited.value("watcher_held") == 0
    await edited.equal()
    assert prompt(edited.manager) == "Edited."


async def test_resume_tries_a_refused_directory_again(watched: Watched) -> None:
    """`resume` tries a refused directory again; refused again, it is held again."""
    await watched.armed()
    for file in watched.directory.glob("*.py"):
        file.unlink()
    await eventually(lambda: watched.value("watcher_held"))
    rejected = watched.compared("rejected")
    watched.watcher.resume()
    await eventually(lambda: watched.compared("rejected") > rejected)
    assert watched.value("watcher_held") == 1


async def test_a_rollback_to_another_directory_is_held_there(edited: Watched, tmp_path: Path) -> None:
    """After a rollback to another directory its files are not served until they change."""
    first = edited.directory
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "zoe.py").write_text(character("Zoe"))
    await edited.manager.reload_characters(ReloadRequest(directory=str(tmp_path / "other")))
    (first / "ada.py").write_text(character("Ada", "Elsewhere."))
    await roll_back(edited, generation=1)
    assert (edited.manager.current.directory, prompt(edited.manager)) == (str(first), "Be kind.")
    await edited.armed()
    assert prompt(edited.manager) == "Be kind."
    add_file(first)
    await edited.equal()


async def test_a_directory_that_comes_back_after_a_rollback_is_a_change(edited: Watched) -> None:
    """A directory that was missing during a rollback serves as soon as it returns."""
    away = edited.directory.with_name("away")
    edited.directory.rename(away)
    await edited.manager.reload_characters(ReloadRequest(on_error="abort"), FromHistory(), trigger="rollback")
    assert (prompt(edited.manager), edited.value("watcher_held")) == ("Be kind.", 1)
    away.rename(edited.directory)
    await edited.equal()
    assert prompt(edited.manager) == "Edited."


async def test_a_set_of_another_machine_is_not_undone(edited: Watched, tmp_path: Path) -> None:
    """The directory is held and still watched after a set of another machine came; its next change is loaded."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "eve.py").write_text(character("Eve"))
    stored = StoredSet.of((await loaded_manager(Settings(directory=tmp_path / "there"))).current)
    await edited.manager.reload_characters(ReloadRequest(on_error="abort"), stored, trigger="fleet")
    await edited.reports.get()
    assert (list(edited.manager.current), edited.value("watcher_held")) == (["Eve"], 1)
    (edited.directory / "ada.py").write_text(character("Ada", "Again."))
    await edited.equal()
    await eventually(lambda: edited.value("watcher_held") == 0)
    assert prompt(edited.manager) == "Again."
