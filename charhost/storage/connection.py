"""A connection to SQLite on a thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

Row = tuple[Any, ...]
Result = TypeVar("Result")


class Statements:
    """Statements of SQL, for one job on the thread of the connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, query: str, *parameters: Any) -> list[Row]:
        return self._connection.execute(query, parameters).fetchall()

    def run(self, statement: str, *parameters: Any) -> int:
        """Run one statement and return how many rows it touched."""
        return self._connection.execute(statement, parameters).rowcount

    def insert(self, statement: str, *parameters: Any) -> int:
        """Insert one row and return its number."""
        row = self._connection.execute(statement, parameters).lastrowid
        assert row is not None
        return row

    def run_all(self, statement: str, rows: Iterable[Row]) -> None:
        """Run one statement for each of *rows*."""
        self._connection.executemany(statement, rows)


Job = Callable[[Statements], Result]


class Connection:
    """Runs jobs one after the other on a daemon thread: a disk that hangs must not keep the process from ending."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.sqlite = connection
        self._is_stopped = False
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._work, name="state file", daemon=True)
        self.thread.start()

    @classmethod
    async def open(cls, path: Path, patience: float) -> Connection:
        """Connect; a lock that another process holds is waited for, *patience* seconds."""
        connection = await asyncio.to_thread(
            sqlite3.connect, path, patience, isolation_level=None, check_same_thread=False
        )
        return cls(connection)

    def submit(self, job: Job[Result]) -> asyncio.Future[Result]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        self._jobs.put(partial(self._do, job, loop, done))
        return done

    async def run(self, job: Job[Result]) -> Result:
        return await self.submit(job)

    def transact(self, job: Job[Result], statements: Statements) -> Result:
        """Do *job* in one transaction; undo it if it raises, or if the connection is stopped meanwhile."""
        statements.run("BEGIN IMMEDIATE")
        try:
            result = job(statements)
            if self._is_stopped:
                raise sqlite3.ProgrammingError("the state file was closed before the transaction ended")
            statements.run("COMMIT")
        except BaseException:
            if self.sqlite.in_transaction:  # a full disk may have ended it already
                statements.run("ROLLBACK")
            raise
        return result

    def stop(self) -> None:
        """Close after the job that runs."""
        self._is_stopped = True
        self._jobs.put(None)

    async def close(self) -> None:
        """Close after the jobs that were submitted."""
        last = self.submit(lambda _: self.sqlite.close())
        self._jobs.put(None)
        await last

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # a result may be large: it must not live until the next job
        self.sqlite.close()

    def _do(self, job: Job[Result], loop: asyncio.AbstractEventLoop, done: asyncio.Future[Result]) -> None:
        # Not by a future of `concurrent.futures`: the two futures, tied in a cycle, would keep the result alive.
        if done.cancelled():
            return
        try:
            settle: Callable[[], None] = partial(_unless_done, done, done.set_result, job(Statements(self.sqlite)))
        except BaseException as e:
            settle = partial(_unless_done, done, done.set_exception, e)
        with suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(settle)


def _unless_done(done: asyncio.Future[Any], settle: Callable[[Any], None], outcome: object) -> None:
    if not done.done():
        settle(outcome)
