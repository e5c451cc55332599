"""The current set follows its directory, however its files are edited."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from charhost.reload.request import ReloadRequest
from tests.conftest import character, prompt
from tests.reload.helpers import Write
from tests.watch.edits import EDITS, Edit, write_in_place
from tests.watch.helpers import Watched, eventually, on_disk, using, watching


@pytest.mark.parametrize("edit", EDITS)
async def test_set_follows_the_disk_by_events(watched: Watched, edit: Edit) -> None:
    """After each kind of edit, events lead to the set that is on the disk, twice in a row (promise 21)."""
    edit(watched.directory)
    await watched.equal()
    (watched.directory / "ada.py").write_text(character("Ada", "Later."))
    await watched.equal()
    assert prompt(watched.manager) == "Later."


async def test_edit_in_a_linked_folder_has_an_event(tmp_path: Path, directory: Path) -> None:
    """Edits of helpers in a linked folder are noticed by events (W11)."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "tone.py").write_text("WORDS = 'one'\n")
    (directory / "linked").symlink_to(shared)
    (directory / "bob.py").write_text(using("Bob", "linked.tone"))
    async with watching(directory) as watched:
        await watched.armed()
        (shared / "tone.py").write_text("WORDS = 'two'\n")
        await watched.equal()
        assert (prompt(watched.manager, "Bob"), watched.compared("drift")) == ("two", 0)


def write_again(file: Path) -> None:
    """Write the bytes of a file over themselves: a file that is emptied first is seen empty on a busy machine."""
    with file.open("r+b") as opened:
        content = opened.read()
        opened.seek(0)
        opened.write(content)


@pytest.mark.parametrize(
    "noise",
    [
        lambda file: os.utime(file),
        lambda file: file.chmod(0o640),
        write_again,
        lambda file: shutil.copy(file, file.with_name("copy.tmp")) and file.with_name("copy.tmp").replace(file),
    ],
    ids=["touch", "chmod", "same-bytes", "same-bytes-renamed"],
)
async def test_same_content_is_no_change(watched: Watched, noise: Edit) -> None:
    """An edit without new content leads to a comparison, and neither to a reload nor to a new set (promise 18, W15)."""
    before, compared = watched.manager.current, watched.compared()
    noise(watched.directory / "ada.py")
    await eventually(lambda: watched.compared() > compared)
    assert (watched.manager.current, watched.reports.qsize()) == (before, 0)


def make_bytecode(directory: Path) -> None:
    (directory / "__pycache__").mkdir()
    for number in range(20):
        (directory / "__pycache__" / f"ada{number}.cpython-311.pyc").write_bytes(b"code")


def read_all(directory: Path) -> None:
    for path in directory.rglob("*.py"):
        path.read_bytes()


def write_notes(directory: Path) -> None:
    for number in range(20):
        (directory / "notes.txt").write_text(str(number))


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(read_all, id="W16-read"),
        pytest.param(make_bytecode, id="W17-bytecode"),
        pytest.param(write_notes, id="other-file"),
    ],
)
async def test_other_changes_lead_to_no_comparison(watched: Watched, noise: Edit) -> None:
    """Reading, bytecode and files of other kinds lead to no comparison (W16, W17)."""
    await asyncio.sleep(0.1)  # the events of earlier changes have arrived
    compared = watched.compared()
    noise(watched.directory)
    await asyncio.sleep(0.2)  # ten times as long as an event takes
    assert (watched.compared(), watched.reports.qsize()) == (compared, 0)


async def test_manual_reload_is_not_repeated(watched: Watched) -> None:
    """A saved file that was loaded by a manual reload is not loaded by the watcher a second time."""
    compared = watched.compared()
    await watched.manager.reload_characters()
    write_in_place(watched.directory)
    await watched.manager.reload_characters()
    await eventually(lambda: watched.compared() > compared)
    await asyncio.sleep(0.1)
    assert [watched.reports.get_nowait().trigger for _ in range(watched.reports.qsize())].count("watch") <= 1
    assert watched.served() == on_disk(watched.directory)


async def test_older_snapshot_is_outdated(tmp_path: Path, watched: Watched, write: Write) -> None:
    """A snapshot older than another reload does not replace the files which that reload loaded (promise 21)."""
    gate = tmp_path / "gate"
    write("slow.py", f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.005)\n")
    running = [
        asyncio.create_task(watched.manager.reload_characters(ReloadRequest(reason=reason)))
        for reason in ("one", "two")
    ]
    await eventually(lambda: watched.manager.running and not watched.manager.running.build.executed)
    compared = watched.watcher.status.last_comparison
    write("ada.py", character("Ada", "Seen by the watcher."))
    await eventually(lambda: watched.watcher.status.last_comparison != compared)
    write("ada.py", character("Ada", "The newest."))
    (watched.directory / "slow.py").unlink()
    gate.touch()
    await asyncio.gather(*running)
    await eventually(lambda: watched.compared("outdated"))
    await watched.equal()
    assert prompt(watched.manager) == "The newest."
