"""Which files are used as a state file, and which are refused and stay as they are."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from charhost.errors import StateError
from charhost.report import DEFAULT_SET
from charhost.storage.integrity import MAGIC
from charhost.storage.schema import VERSION
from charhost.storage.state_file import StateFile
from tests.reload.helpers import report
from tests.storage.files import opened, stored_set


async def test_the_file_and_its_log_have_mode_0600(path: Path) -> None:
    """Only the owner can read the file and its log, whatever the umask is."""
    before = os.umask(0)
    try:
        async with opened(path) as file:
            await file.sets.history(DEFAULT_SET).record(report(1), None)
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(modes, 0o600)
    assert {"state.db", "state.db-wal"} <= set(modes)


async def test_one_that_others_may_read_is_closed_to_them(path: Path) -> None:
    """A file that was copied with another mode gets the right one."""
    async with opened(path):
        pass
    path.chmod(0o644)
    async with opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
async def test_one_that_others_may_write_is_refused(path: Path, mode: int) -> None:
    """A file that other users can write is refused, since they could choose the code of a rollback."""
    async with opened(path):
        pass
    path.chmod(mode)
    with pytest.raises(StateError, match=f"the state file {path} is writable by other users"):
        await StateFile(path).open()


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
async def test_what_lies_beside_it_counts_too(path: Path, ending: str) -> None:
    """A log that other users can write is refused as well: SQLite copies it into the file."""
    async with opened(path):
        pass
    beside = path.with_name(path.name + ending)
    beside.touch()
    beside.chmod(0o666)
    before = path.read_bytes()
    with pytest.raises(StateError, match=f"the state file {beside} is writable by other users"):
        await StateFile(path).open()
    assert path.read_bytes() == before


@pytest.mark.parametrize(("mode", "may"), [(0o777, False), (0o1777, True), (0o755, True)])
async def test_a_folder_that_others_may_write_is_refused(path: Path, mode: int, may: bool) -> None:
    """A file in a folder that other users can write is refused, unless the folder is sticky, as /tmp."""
    path.parent.chmod(mode)
    try:
        with (
            nullcontext()
            if may
            else pytest.raises(
                StateError, match=f"the folder of the state file {path.parent} is writable by other users"
            )
        ):
            async with opened(path):
                pass
    finally:
        path.parent.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
async def test_one_of_another_user_is_refused(path: Path) -> None:
    """A file of another user is refused, since its owner can write to it."""
    path.touch(0o600)
    os.chown(path, 12345, -1)
    with pytest.raises(StateError, match="is writable by other users"):
        await StateFile(path).open()


def text_file(path: Path) -> None:
    path.write_text("my shopping list\n" * 20)


def a_short_one(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


def other_programs_own(path: Path) -> None:
    other_program(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 252006675")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE attempts (unknown TEXT)")
        connection.execute(f"PRAGMA application_id = {MAGIC}")
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")


def newer_in_its_log(path: Path) -> None:
    """A newer charhost was killed right after it had changed the tables."""
    ours(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        leave_as_it_is(path)


def ours(path: Path) -> None:
    async def fill() -> None:
        async with opened(path) as file:
            for number in range(1, 40):
                await file.sets.history(DEFAULT_SET).record(
                    report(number), stored_set(number, {"ada.py": f"# {number}" * 500})
                )

    asyncio.run(fill())


def cut(path: Path) -> None:
    ours(path)
    os.truncate(path, path.stat().st_size // 2)


def scribbled(path: Path) -> None:
    ours(path)
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 64)


def with_a_log(path: Path) -> None:
    """A damaged file with a log beside it, as a crash leaves one: the log must not be copied into the file."""
    ours(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE attempts SET report = 'x'")
        connection.commit()
        leave_as_it_is(path)
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xff" * 4096 * 8)
    path.chmod(0o600)


def leave_as_it_is(path: Path) -> None:
    """Take a copy of the file and its log now, as a kill would leave them."""
    inode = path.stat().st_ino
    for each in (path, path.with_name("state.db-wal")):
        shutil.copy(each, each.with_name(f"copy-{each.name}"))
        each.with_name(f"copy-{each.name}").replace(each)
        each.chmod(0o600)
    assert path.stat().st_ino != inode


BAD: dict[Callable[[Path], None], str] = {
    text_file: "is no state file: it is not a database",
    a_short_one: "is no state file: it is not a database",
    other_program: "is no state file: it is the database of another program",
    other_programs_own: "is no state file: it is the database of another program",
    newer: f"is of version {VERSION + 1}, and this charhost knows {VERSION} only: run a newer",
    newer_in_its_log: f"is of version {VERSION + 1}, and this charhost knows {VERSION} only: run a newer",
    cut: "is damaged .*; nothing was written to it",
    scribbled: "is damaged .*; nothing was written to it",
    with_a_log: "is damaged .*; nothing was written to it",
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_what_is_no_sound_state_file_is_refused_and_never_overwritten(path: Path, make: Callable[[Path], None]) -> None:
    """An invalid file is refused with the reason and the remedy, and neither it nor its log is changed."""
    make(path)
    path.chmod(0o600)
    before = {each.name: each.read_bytes() for each in path.parent.glob("state.db*") if not each.name.endswith("-shm")}
    with pytest.raises(StateError, match=BAD[make]) as refusal:
        asyncio.run(StateFile(path).open())
    assert str(path) in str(refusal.value)
    assert {name: (path.parent / name).read_bytes() for name in before} == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("missing/state.db", "cannot be made: its folder .*/missing does not exist; make it"),
        ("folder", "not a regular file"),
    ],
)
async def test_an_impossible_path_is_an_error(tmp_path: Path, name: str, text: str) -> None:
    """No folder is made for it."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(StateError, match=text):
        await StateFile(tmp_path / name).open()
