"""Tests of the connection: one daemon thread, jobs in order, and no job after the close."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from functools import partial
from pathlib import Path

import pytest

from charhost.storage.connection import Connection, Statements
from tests.scripted import LIMIT


@pytest.fixture
async def connection(tmp_path: Path) -> Connection:
    """Return an open connection to a new file."""
    return await Connection.open(tmp_path / "state.db", 1)


async def test_all_jobs_run_on_one_daemon_thread(connection: Connection) -> None:
    """A thread that is no daemon keeps the process from ending."""
    threads = [await connection.submit(lambda _: threading.current_thread()) for _ in range(3)]
    assert threads == [connection.thread] * 3
    assert connection.thread.daemon
    await connection.close()


async def test_job_returns_its_result(connection: Connection) -> None:
    """A job receives the statements of the connection."""
    assert await connection.submit(lambda statements: statements.rows("SELECT 6 * ?", 7)) == [(42,)]
    await connection.close()


async def test_error_of_a_job_is_raised(connection: Connection) -> None:
    """The thread survives it."""
    with pytest.raises(sqlite3.OperationalError):
        await connection.submit(lambda statements: statements.run("no SQL"))
    assert await connection.submit(lambda _: "next") == "next"
    await connection.close()


async def test_failed_transaction_is_undone(connection: Connection) -> None:
    """Nothing of it stays, and the next one can begin."""

    def fail(statements: Statements) -> None:
        statements.run("INSERT INTO numbers VALUES (1)")
        raise ZeroDivisionError

    def succeed(statements: Statements) -> None:
        statements.run("INSERT INTO numbers VALUES (2)")

    await connection.submit(lambda statements: statements.run("CREATE TABLE numbers (number)"))
    with pytest.raises(ZeroDivisionError):
        await connection.submit(partial(connection.transact, fail))
    await connection.submit(partial(connection.transact, succeed))
    assert await connection.submit(lambda statements: statements.rows("SELECT * FROM numbers")) == [(2,)]
    await connection.close()


async def test_close_comes_after_the_jobs_and_ends_the_thread(connection: Connection) -> None:
    """A job submitted before the close still has the file."""
    before = connection.submit(lambda statements: statements.rows("SELECT 1"))
    await connection.close()
    assert await before == [(1,)]
    await asyncio.to_thread(connection.thread.join, LIMIT)
    assert not connection.thread.is_alive()


async def test_stopped_connection_closes_after_the_job_that_runs(connection: Connection) -> None:
    """A close that was given up, because the disk hangs, is made up for when the disk responds."""
    responds = threading.Event()
    hanging = connection.submit(lambda _: responds.wait(LIMIT))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.close(), 0.01)
    connection.stop()
    responds.set()
    assert await hanging
    await asyncio.to_thread(connection.thread.join, LIMIT)
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        connection.sqlite.execute("SELECT 1")


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_job_after_the_close_is_refused(connection: Connection, is_stopped: bool) -> None:
    """Without the refusal its caller would wait forever for a thread that has ended."""
    if is_stopped:
        connection.stop()
    else:
        await connection.close()
    with pytest.raises(sqlite3.ProgrammingError, match="the state file is closed"):
        connection.submit(lambda _: None)


async def test_file_is_closed_once(tmp_path: Path) -> None:
    """SQLite is asked to close it by the last job, and not again by the thread that ends."""
    closed = []

    class Counted(Statements):
        def close(self) -> None:
            closed.append(threading.current_thread())
            super().close()

    path = tmp_path / "state.db"
    connection = Connection(sqlite3.connect(path, factory=Counted, check_same_thread=False))
    await connection.close()
    await asyncio.to_thread(connection.thread.join, LIMIT)
    assert closed == [connection.thread]


async def test_cancelled_job_that_waits_is_skipped(connection: Connection) -> None:
    """Queries given up on a disk that hangs do not pile up until it recovers."""
    recovered, ran = threading.Event(), []
    first = connection.submit(lambda _: recovered.wait(LIMIT))
    connection.submit(lambda _: ran.append("second")).cancel()
    recovered.set()
    assert await first
    await connection.close()
    assert ran == []
