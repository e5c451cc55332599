"""The state file: its safety, its size, and the equality of what is read and written."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charhost.conversation.items import Audio, FunctionCall, FunctionOutput, Image, Item, Message, Other, Text
from charhost.errors import StateError
from charhost.loading.module_space import Member
from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import StoredSet
from charhost.memory.weight import weigh
from charhost.metrics import Metrics
from charhost.reload.set_records import SetDefinition
from charhost.reload.store import MOST_SETS, Generations
from charhost.report import DEFAULT_SET
from charhost.resume.saved_session import SavedSession
from charhost.resume.spelling import item_of, spelled
from charhost.storage.integrity import MAGIC
from charhost.storage.schema import SCHEMA, VERSION
from charhost.storage.state_file import StateFile
from tests.reload.helpers import report
from tests.scripted import LIMIT, message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the state is kept."""
    return tmp_path / "state.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[StateFile]:
    """The state file while a server has it."""
    file = StateFile(path)
    await file.open()
    try:
        yield file
    finally:
        await file.close()


def asked(path: Path, query: str) -> list[Any]:
    """Return the rows of a query, while no server has the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


# Who may use it


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


async def test_a_second_server_is_refused_a_file_in_use(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in use by another server is refused, and that server is not affected."""
    for module in ("database", "integrity"):
        monkeypatch.setattr(f"charhost.storage.{module}.HANDOVER", 0.05)
    async with opened(path) as first:
        with pytest.raises(StateError, match="in use by another server"):
            await StateFile(path).open()
        await first.sets.history(DEFAULT_SET).record(report(1), None)
        assert len(await first.sets.history(DEFAULT_SET).attempts(9)) == 1


# What is refused, and stays as it is


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


async def test_one_that_was_being_made_is_made(path: Path) -> None:
    """An empty file, as a kill leaves it at first, is initialised."""
    path.touch(0o600)
    async with opened(path) as file:
        assert await file.sets.history(DEFAULT_SET).attempts(9) == ()


@pytest.mark.parametrize("after", range(0, 40, 3))
def test_a_kill_while_it_is_made_does_no_harm(path: Path, after: int) -> None:
    """Wherever the making of the file is interrupted, the next server makes it."""
    subprocess.run([sys.executable, "-c", KILLED, str(path), str(after)], check=False)

    async def use() -> int:
        async with opened(path) as file:
            await file.sets.history(DEFAULT_SET).record(report(1), None)
            return len(await file.sets.history(DEFAULT_SET).attempts(9))

    assert asyncio.run(use()) == 1


async def test_a_kill_within_a_commit_does_no_harm(path: Path) -> None:
    """The journal that it leaves beside the file, while that is made, is taken back by the next server."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*SCHEMA, f"PRAGMA application_id = {MAGIC}", "PRAGMA cache_size = 1", "BEGIN"):
            connection.execute(statement)
        for number in range(20):
            connection.execute("INSERT INTO contents (digest, data) VALUES (?, zeroblob(5000))", [number])
        for each in list(path.parent.iterdir()):
            shutil.copy(each, each.with_name(f"copy-{each.name}"))
    for each in path.parent.glob("copy-*"):
        each.replace(each.with_name(each.name.removeprefix("copy-")))
    path.chmod(0o600)
    assert (path.parent / "state.db-journal").stat().st_size > 0
    async with opened(path) as file:
        assert await file.sets.history(DEFAULT_SET).attempts(9) == ()
    assert asked(path, "SELECT count(*) FROM contents") == [(0,)]


KILLED = """
import asyncio, os, sys
from pathlib import Path
from charhost.storage.state_file import StateFile
from charhost.storage.connection import Statements

left = int(sys.argv[2])
run = Statements.run

def counted(self, statement, *parameters):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    return run(self, statement, *parameters)

Statements.run = counted
asyncio.run(StateFile(Path(sys.argv[1])).open())
os.kill(os.getpid(), 9)
"""


# Sets


def snapshot(files: dict[str, str], directory: str = "/srv/characters", taken: int = 1) -> Snapshot:
    """A directory with these files."""
    return Snapshot(
        Path(directory),
        {name: SourceFile.of(name, f"{directory}/{name}", text.encode()) for name, text in sorted(files.items())},
        taken=taken,
    )


def stored_set(generation: int, files: dict[str, str], directory: str = "/srv/characters") -> StoredSet:
    """A set whose characters all come from one snapshot."""
    taken = snapshot(files, directory, generation)
    members = tuple(Member(taken, name, f"sha256:{number}") for number, name in enumerate(sorted(files)))
    return StoredSet(generation, directory, f"sha256:{generation}", members, taken.disk_revision)


def essentials(stored: StoredSet | None) -> Any:
    """All that matters of a set."""
    assert stored is not None
    members = [
        (member.path, member.fingerprint, member.snapshot.directory, member.snapshot.taken, contents(member.snapshot))
        for member in stored.members
    ]
    return stored.generation, stored.directory, stored.revision, stored.disk, members


def contents(taken: Snapshot) -> list[tuple[str, str, bytes, bytes]]:
    """The files of a snapshot."""
    return [(path, file.location, file.data, file.digest) for path, file in taken.files.items()]


async def test_a_set_is_read_as_it_was_written(path: Path) -> None:
    """Paths, bytes, order and times, also of names that are not UTF-8, by another process too."""
    odd = os.fsdecode(b"caf\xe9.py")
    applied = stored_set(7, {"ada.py": "A = 1\r\n", odd: "B = '\N{SNOWMAN}'", "resources/x.py": ""})
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(7), applied)
        assert essentials(await file.sets.history(DEFAULT_SET).stored(7)) == essentials(applied)
    async with opened(path) as file:
        assert essentials(await file.sets.history(DEFAULT_SET).stored(7)) == essentials(applied)
        assert await file.sets.history(DEFAULT_SET).attempts(9) == (report(7),)


async def test_each_content_is_kept_once(path: Path) -> None:
    """Files that did not change, and equal ones, take one place; an edit adds a row or two, not a directory."""
    files = {f"c{number}.py": "the same" for number in range(100)} | {"own.py": "own"}
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(1), stored_set(1, files))
        await file.sets.history(DEFAULT_SET).record(report(2), stored_set(2, files | {"c5.py": "edited"}))
        await file.sets.history(DEFAULT_SET).record(report(3), stored_set(3, files, "/srv/other"))
    assert asked(path, "SELECT count(*) FROM contents") == [(3,)]
    assert asked(path, "SELECT count(*) FROM files") == [(101 + 1 + 101,)]


async def test_what_no_set_needs_is_dropped(path: Path) -> None:
    """After twenty other sets nothing is left of the first, nor of a directory without a set."""
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(1), stored_set(1, {"old.py": "old"}, "/srv/old"))
        for number in range(2, MOST_SETS + 2):
            await file.sets.history(DEFAULT_SET).record(report(number), stored_set(number, {"ada.py": f"# {number}"}))
    assert asked(path, "SELECT count(*) FROM contents") == [(MOST_SETS,)]
    assert asked(path, "SELECT path FROM directories") == [(b"/srv/characters",)]
    assert asked(path, "SELECT count(*) FROM snapshots") == [(MOST_SETS,)]


async def test_what_served_before_is_not_held_in_memory(path: Path) -> None:
    """A server that has begun knows which set that was; the bytes stay in the file."""
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(7), stored_set(7, {"ada.py": "A = 1"}))
    async with opened(path) as file:
        generations = Generations(file.sets.history(DEFAULT_SET), Metrics())
        await generations.recover()
        assert generations.former is not None
        await connection(file).submit(lambda _: None)  # the thread has let go of its last result
        assert (generations.former.generation, len(file.sets.history(DEFAULT_SET)._alive)) == (7, 0)


@pytest.mark.parametrize("seed", range(6))
async def test_a_long_history_is_read_as_it_was(path: Path, seed: int) -> None:
    """A long history of several directories, edits and restarts is read as it was written."""
    chance, kept = Random(seed), {}
    disks: dict[str, dict[str, str]] = {"/srv/one": {}, "/srv/two": {}}
    alive: dict[str, list[Snapshot]] = {directory: [] for directory in disks}
    file = StateFile(path)
    await file.open()
    for generation in range(1, 80):
        directory = chance.choice(list(disks))
        disk = disks[directory]
        for _ in range(chance.randrange(3)):
            disk[f"c{chance.randrange(6)}.py"] = chance.choice("abcdef")
        if disk and chance.random() < 0.3:
            del disk[chance.choice(list(disk))]
        if not disk:
            disk["c0.py"] = "a"
        now = snapshot(disk, directory, generation)
        alive[directory] = [now, *alive[directory]][:4]
        members = []
        for name in disk:
            earlier = [one for one in alive[directory] if name in one.files]
            members.append(Member(chance.choice(earlier), name, f"sha256:{name}"))
        applied = StoredSet(generation, directory, f"sha256:{generation}", tuple(members), now.disk_revision)
        await file.sets.history(DEFAULT_SET).record(report(generation), applied)
        kept[generation] = essentials(applied)
        if chance.random() < 0.1:
            await file.close()
            file = StateFile(path)
            await file.open()
            # What a rollback makes again has the snapshots that the file gave out.
            found = await file.sets.history(DEFAULT_SET).stored(
                chance.choice(await file.sets.history(DEFAULT_SET).generations())
            )
            assert found is not None
            newest = snapshot(disks[found.directory], found.directory, generation)
            alive[found.directory] = [*(member.snapshot for member in found.members[:4]), newest]
    generations = await file.sets.history(DEFAULT_SET).generations()
    assert generations == tuple(range(79, 79 - MOST_SETS, -1))
    for generation in generations:
        assert essentials(await file.sets.history(DEFAULT_SET).stored(generation)) == kept[generation]
    await file.close()
    async with opened(path) as file:
        for generation in generations:
            assert essentials(await file.sets.history(DEFAULT_SET).stored(generation)) == kept[generation]


async def test_a_write_that_failed_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed write leaves nothing behind, and the next one is complete."""
    first, second = {"ada.py": "one", "bob.py": "one"}, {"ada.py": "two"}
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(1), stored_set(1, first))
        with monkeypatch.context() as patch:
            patch.setattr("charhost.storage.history.MOST_SETS", "none")  # SQLite refuses the last statement
            with pytest.raises(StateError, match="cannot be written: datatype mismatch"):
                await file.sets.history(DEFAULT_SET).record(report(2), stored_set(2, second))
        assert (
            await file.sets.history(DEFAULT_SET).generations(),
            len(await file.sets.history(DEFAULT_SET).attempts(9)),
        ) == ((1,), 1)
        third = stored_set(3, second | {"bob.py": "one"})
        await file.sets.history(DEFAULT_SET).record(report(3), third)
        assert essentials(await file.sets.history(DEFAULT_SET).stored(3)) == essentials(third)
        assert essentials(await file.sets.history(DEFAULT_SET).stored(1)) == essentials(stored_set(1, first))


async def test_bytes_that_were_changed_are_not_given_out(path: Path) -> None:
    """Changed bytes are not returned, since they would be executed: each content is compared with its digest (promise
    10)."""
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(1), stored_set(1, {"ada.py": "print('Ada')"}))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE contents SET data = ?", (b"print('Eve')",))
        connection.commit()
    async with opened(path) as file:
        with pytest.raises(StateError, match=r"damaged: the content of /srv/characters/ada\.py was changed"):
            await file.sets.history(DEFAULT_SET).stored(1)


class Stuck:
    """A disk that does not return: the thread that uses SQLite waits."""

    def __init__(self, file: StateFile) -> None:
        self.answers = threading.Event()
        connection(file).submit(lambda _: self.answers.wait())


async def test_a_disk_that_does_not_respond_delays_no_client(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a disk that does not return calls fail after a while, closing ends, and the process can end."""
    monkeypatch.setattr("charhost.storage.database._READ", 0.01)
    monkeypatch.setattr("charhost.storage.database._CLOSE", 0.01)
    file = StateFile(path)
    await file.open()
    assert connection(file).thread.daemon
    kept, disk = connection(file), Stuck(file)
    history = file.sets.history(DEFAULT_SET)
    writing = asyncio.create_task(history.record(report(1), stored_set(1, {"ada.py": "Ada"})))
    with pytest.raises(StateError, match=r"has not responded for 0\.01 s"):
        await history.attempts(1)
    async with asyncio.timeout(LIMIT):
        await file.close()
    assert f"the state file {path} does not respond; the running writes may be lost" in caplog.text
    disk.answers.set()
    await asyncio.gather(writing, return_exceptions=True)
    await asyncio.to_thread(kept.thread.join)


async def test_a_write_that_hangs_in_the_middle_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ends does not wait for it, however far a write has come."""
    monkeypatch.setattr("charhost.storage.database._CLOSE", 0.05)
    begun, answers = threading.Event(), threading.Event()

    def disk() -> bool:
        begun.set()
        return answers.wait(LIMIT)

    async with opened(path) as file:
        kept = connection(file)
        kept.sqlite.create_function("disk", 0, disk)
        statement = "INSERT INTO directories (path) SELECT disk()"
        writing = asyncio.create_task(file._database.write(lambda statements: statements.run(statement)))
        await asyncio.to_thread(begun.wait)
        async with asyncio.timeout(LIMIT / 2):
            await file.close()
        answers.set()
        await asyncio.gather(writing, return_exceptions=True)
        await asyncio.to_thread(kept.thread.join)
    assert asked(path, "SELECT count(*) FROM directories") == [(0,)]


async def test_a_file_that_was_removed_is_not_written_to(path: Path) -> None:
    """A removed file is not written to, since the data would be lost silently."""
    async with opened(path) as file:
        await file.sets.history(DEFAULT_SET).record(report(1), None)
        path.rename(path.with_name("elsewhere.db"))
        with pytest.raises(StateError, match="was removed or replaced: restart the server"):
            await file.sets.history(DEFAULT_SET).record(report(2), None)
        path.with_name("elsewhere.db").rename(path)
        await file.sets.history(DEFAULT_SET).record(report(3), None)


async def test_a_set_that_goes_on_after_a_restart_takes_no_more_room(path: Path) -> None:
    """A set that continues after a restart is stored only once."""
    for _ in range(3):
        async with opened(path) as file:
            applied = stored_set(1, {"ada.py": "Ada"})
            await file.sets.history(DEFAULT_SET).record(
                report(1).model_copy(update={"reload_id": os.urandom(4).hex()}), applied
            )
    assert asked(path, "SELECT count(*) FROM snapshots") == [(1,)]


async def test_a_write_that_is_only_slow_is_finished_at_the_end(path: Path) -> None:
    """Closing waits for a write in progress, also if its caller was cancelled."""
    file = StateFile(path)
    await file.open()
    disk = Stuck(file)
    writing = asyncio.create_task(file.sets.history(DEFAULT_SET).record(report(1), None))
    await asyncio.sleep(0)
    writing.cancel()
    closing_ = asyncio.create_task(file.close())
    await asyncio.sleep(0)
    disk.answers.set()
    await closing_
    async with opened(path) as file:
        assert await file.sets.history(DEFAULT_SET).attempts(9) == (report(1),)


async def test_a_write_goes_on_without_its_caller(path: Path) -> None:
    """A cancelled caller leaves no half of a transaction."""
    async with opened(path) as file:
        for number in range(1, 20):
            applied = stored_set(number, {"ada.py": str(number)})
            task = asyncio.create_task(file.sets.history(DEFAULT_SET).record(report(number), applied))
            for _ in range(number):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await file.sets.history(DEFAULT_SET).record(report(99), stored_set(99, {"ada.py": "99"}))
        generations = await file.sets.history(DEFAULT_SET).generations()
        assert generations[0] == 99
        for generation in generations:
            found = await file.sets.history(DEFAULT_SET).stored(generation)
            assert found is not None
            assert found.members[0].snapshot.files["ada.py"].data == str(generation).encode()


# Conversations


def saved(*items: Item, session: str = "sess_1", **fields: Any) -> SavedSession:
    """A conversation with Ada."""
    return replace(SavedSession(session, "Ada", "me", "ga", {"voice": "x"}, "conv_1", items), **fields)


async def found(path: Path, session: str = "sess_1") -> SavedSession | None:
    """Return what another process reads from the file."""
    async with opened(path) as file:
        return await file.conversations.find(session)


async def test_a_conversation_is_found_by_the_next_process(path: Path) -> None:
    """With all that its client needs to go on."""
    one = saved(message("Hi"), message("Hello!", "assistant"), owner="you", dialect=None, config=None)
    async with opened(path) as file:
        await file.conversations.save([one], [])
    assert await found(path) == replace(one, weight=weigh(None, one.items))
    assert await found(path, "sess_2") is None


async def test_only_what_is_new_is_written(path: Path) -> None:
    """A response after a thousand others writes one row."""
    items = [message(str(number)) for number in range(1000)]
    async with opened(path) as file:
        await file.conversations.save([saved(*items)], [])
        before = connection(file).sqlite.total_changes
        await file.conversations.save([saved(*items, message("one more"))], [])
        assert connection(file).sqlite.total_changes - before == 2  # the item, and the conversation's own row


async def test_a_long_conversation_that_is_cut_in_front_is_not_written_anew(path: Path) -> None:
    """Items that leave the history are removed, and no other row is written."""
    items = [message(str(number)) for number in range(1000)]
    async with opened(path) as file:
        await file.conversations.save([saved(*items)], [])
        before = connection(file).sqlite.total_changes
        await file.conversations.save([saved(*items[2:], message("one more"))], [])
        assert connection(file).sqlite.total_changes - before == 4


def connection(file: StateFile) -> Any:
    """Return the connection of the file."""
    return file._database._connection


EDITS: dict[str, Callable[[list[Item]], object]] = {
    "nothing": lambda items: None,
    "more": lambda items: items.extend([message("d"), message("e")]),
    "one less at the front": lambda items: items.pop(0),
    "one less in the middle": lambda items: items.pop(1),
    "one less at the end": lambda items: items.pop(),
    "one in between": lambda items: items.insert(1, message("between")),
    "one in front": lambda items: items.insert(0, message("first")),
    "another in its place": lambda items: items.__setitem__(1, replace(items[1], status="incomplete")),
    "other order": lambda items: items.reverse(),
    "without items": lambda items: items.clear(),
}


@pytest.mark.parametrize("first", EDITS)
@pytest.mark.parametrize("second", EDITS)
async def test_every_change_is_written(path: Path, first: str, second: str) -> None:
    """Items that come, go, change and move are found as they stand."""
    items: list[Item] = [message("a"), message("b"), message("c")]
    async with opened(path) as file:
        for edit in ("nothing", first, second):
            with suppress(IndexError):  # there is none
                EDITS[edit](items)
            await file.conversations.save([saved(*items)], [])
    kept = await found(path)
    assert kept is not None
    assert kept.items == tuple(items)


async def test_a_conversation_that_went_on_after_a_restart_is_whole(path: Path) -> None:
    """The items of the second process follow those that it has read."""
    async with opened(path) as file:
        await file.conversations.save([saved(message("a"))], [])
    async with opened(path) as file:
        kept = await file.conversations.find("sess_1")
        assert kept is not None
        await file.conversations.save([replace(kept, items=(*kept.items, message("b")))], [])
    kept = await found(path)
    assert kept is not None
    assert [item.text for item in kept.items if isinstance(item, Message)] == ["a", "b"]


async def test_an_ended_session_is_deleted_with_its_messages(path: Path) -> None:
    """Nothing of it stays in the tables."""
    async with opened(path) as file:
        await file.conversations.save([saved(message("a")), saved(message("b"), session="sess_2")], [])
        await file.conversations.save([], ["sess_1", "sess_9"])
    assert await found(path) is None
    assert asked(path, "SELECT session FROM items") == [("sess_2",)]


async def test_at_the_start_the_last_ones_are_kept(path: Path) -> None:
    """At the start the newest conversations up to the limit are kept, and the others dropped."""
    async with opened(path) as file:
        for session in "abc":
            await file.conversations.save([saved(session=session)], [])
    async with opened(path) as file:
        assert await file.conversations.sessions(2) == ["c", "b"]
        assert await file.conversations.find("a") is None


async def test_a_response_running_when_the_process_ended_is_incomplete(path: Path) -> None:
    """An item that was in progress when the process ended is incomplete."""
    async with opened(path) as file:
        await file.conversations.save([saved(Message(role="assistant", parts=(), status="in_progress"))], [])
    kept = await found(path)
    assert kept is not None
    assert [item.status for item in kept.items] == ["incomplete"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PARTS = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(Image, TEXTS, st.none() | TEXTS),
    st.builds(Audio, st.none() | TEXTS),
    st.builds(Other, st.dictionaries(TEXTS, st.none() | TEXTS | st.integers(-(2**53), 2**53) | st.booleans())),
)
NAMES = st.none() | TEXTS
ITEMS = st.one_of(
    st.builds(
        Message,
        role=st.sampled_from(["user", "system", "assistant"]),
        parts=st.lists(PARTS, max_size=3).map(tuple),
        name=NAMES,
        id=TEXTS,
        status=st.sampled_from(["completed", "incomplete"]),
        hidden=st.booleans(),
    ),
    st.builds(FunctionCall, call_id=TEXTS, name=TEXTS, arguments=TEXTS, id=TEXTS, hidden=st.booleans()),
    st.builds(FunctionOutput, call_id=TEXTS, output=TEXTS, id=TEXTS, hidden=st.booleans()),
)


@given(ITEMS)
def test_every_item_is_read_as_it_was_written(item: Item) -> None:
    """Every kind of item is read as it was written."""
    assert item_of(spelled(item)) == item


@pytest.mark.parametrize("version", [1, 2])
async def test_file_of_the_versions_before_is_read(path: Path, version: int) -> None:
    """A state file of an earlier version opens with all that it has, which is that of the default set."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((Path(__file__).parent / "version_2.sql").read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA application_id = {MAGIC}")
        connection.execute(f"PRAGMA user_version = {version}")
    path.chmod(0o600)
    for _ in range(2):  # the second time it has the present version
        async with opened(path) as file:
            history, others = file.sets.history(DEFAULT_SET), file.sets.history("gaming")
            assert [(one.reload_id, one.set) for one in await history.attempts(9)] == [
                ("2", "default"),
                ("1", "default"),
            ]
            assert (await history.generations(), await others.generations()) == ((2, 1), ())
            stored = await history.stored(2)
            assert stored is not None
            assert [(member.path, member.snapshot.files[member.path].data) for member in stored.members] == [
                ("ada.py", b"A = 2"),
                ("bob.py", b"B = 1"),
            ]
            saved = await file.conversations.find("sess_1")
            assert saved is not None
            assert (saved.character, saved.set, len(saved.items)) == ("Ada", "default", 1)
            assert await file.sets.added() == ()
    assert asked(path, "PRAGMA user_version") == [(VERSION,)]
    assert asked(path, "PRAGMA foreign_key_check") == []
    with closing(sqlite3.connect(":memory:")) as fresh:
        for statement in SCHEMA:
            fresh.execute(statement)
        made = fresh.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()
    assert asked(path, "SELECT type, name FROM sqlite_schema ORDER BY name") == made


async def test_histories_of_sets_do_not_meet(path: Path) -> None:
    """Each set has generations and reports of its own, which go when it is removed; the others keep theirs."""
    async with opened(path) as file:
        ours, theirs = file.sets.history(DEFAULT_SET), file.sets.history("gaming")
        await ours.record(report(1), stored_set(1, {"ada.py": "A = 1"}))
        await theirs.record(report(2), stored_set(1, {"zed.py": "Z = 1"}, "/srv/games"))
        await file.sets.add(SetDefinition("gaming", "/srv/games", watch=True))
        assert [[one.reload_id for one in await store.attempts(9)] for store in (ours, theirs)] == [["1"], ["2"]]
        assert await theirs.attempt("1") is None
        assert await file.sets.added() == (SetDefinition("gaming", "/srv/games", watch=True),)
        await file.sets.remove("gaming")
        theirs = file.sets.history("gaming")
        assert (await theirs.generations(), await theirs.attempts(9), await file.sets.added()) == ((), (), ())
        assert essentials(await ours.stored(1)) == essentials(stored_set(1, {"ada.py": "A = 1"}))
    assert asked(path, "SELECT count(*) FROM contents") == [(1,)]


async def test_a_released_conversation_takes_no_memory(path: Path) -> None:
    """Its items are read from the file again, and it can be saved without them being known."""
    async with opened(path) as file:
        tracemalloc.start()
        try:
            for number in range(8):
                one = saved(message("x" * 500_000 + str(number)), message("gone"), session=f"sess_{number}")
                await file.conversations.save([one], [])
                await file.conversations.release([one.id])
            assert tracemalloc.get_traced_memory()[0] < 3 * 500_000
        finally:
            tracemalloc.stop()
        assert await file.conversations.find("sess_3") is not None
        await file.conversations.release(["sess_3"])
        await file.conversations.save([saved(message("anew"), session="sess_3")], [])
    kept = await found(path, "sess_3")
    assert kept is not None
    assert [item.text for item in kept.items if isinstance(item, Message)] == ["anew"]
