"""The file of one server: how it is made, and how its disk fails."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from charhost.errors import StateError
from charhost.report import DEFAULT_SET
from charhost.storage.integrity import MAGIC
from charhost.storage.schema import SCHEMA
from charhost.storage.state_file import StateFile
from tests.reload.helpers import report
from tests.scripted import LIMIT
from tests.storage.files import asked, connection, opened, stored_set


async def test_a_second_server_is_refused_a_file_in_use(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in use by another server is refused, and that server is not affected."""
    for module in ("database", "integrity"):
        monkeypatch.setattr(f"charhost.storage.{module}.HANDOVER", 0.05)
    async with opened(path) as first:
        with pytest.raises(StateError, match="in use by another server"):
            await StateFile(path).open()
        await first.sets.history(DEFAULT_SET).record(report(1), None)
        assert len(await first.sets.history(DEFAULT_SET).attempts(9)) == 1


async def test_one_that_was_being_made_is_made(path: Path) -> None:
    """An empty file, as a kill leaves it at first, is initialised."""
    path.touch(0o600)
    async with opened(path) as file:
        assert await file.sets.history(DEFAULT_SET).attempts(9) == ()


@pytest.mark.parametrize(
    "after", [0, 12, 24, 36, *(pytest.param(after, marks=pytest.mark.slow) for after in range(0, 40, 3) if after % 12)]
)
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
