"""A connection to SQLite on a thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

Row = tuple[Any, ...]
Result = TypeVar("Result")


class Statements(sqlite3.Connection):
    """A connection in which each statement is one call; for jobs on its thread."""

    def rows(self, query: str, *parameters: Any) -> list[Row]:
        return self.execute(query, parameters).fetchall()

    def run(self, statement: str, *parameters: Any) -> int:
        return self.execute(statement, parameters).rowcount

    def insert(self, statement: str, *parameters: Any) -> int:
        row = self.execute(statement, parameters).lastrowid
        assert row is not None
        return row


Job = Callable[[Statements], Result]


class Connection:
    """Runs jobs one after the other on a daemon thread: a disk that hangs must not keep the process from ending."""

    def __init__(self, sqlite: Statements) -> None:
        self.sqlite = sqlite
        self._is_closing = self._is_stopped = self._is_closed = False
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.thread = threading.Thread(target=self._work, name="state file", daemon=True)
        self.thread.start()

    @classmethod
    async def open(cls, path: Path, lock_timeout: float) -> Connection:
        """Connect; wait up to *lock_timeout* seconds for a lock of another process."""

        def connect() -> Statements:
            return sqlite3.connect(
                path, lock_timeout, isolation_level=None, check_same_thread=False, factory=Statements
            )

        return cls(await asyncio.to_thread(connect))

    def submit(self, job: Job[Result]) -> asyncio.Future[Result]:
        """Return the future result of *job*; raise `sqlite3.ProgrammingError` once the connection is closing."""
        if self._is_closing:
            raise sqlite3.ProgrammingError("the state file is closed")
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._jobs.put(partial(self._do, job, done))
        return done

    def transact(self, job: Job[Result], statements: Statements) -> Result:
        """Do *job* in one transaction; undo it if it raises, or if the connection is stopped meanwhile."""
        with statements:
            statements.run("BEGIN IMMEDIATE")
            result = job(statements)
            if self._is_stopped:
                raise sqlite3.ProgrammingError("the state file was closed before the transaction ended")
        return result

    def stop(self) -> None:
        """Close after the job that runs."""
        self._is_closing = self._is_stopped = True
        self._jobs.put(self._close)

    async def close(self) -> None:
        """Close after the jobs that were submitted."""
        closed = self.submit(lambda _: self._close())
        self._is_closing = True
        await closed

    def _work(self) -> None:
        while not self._is_closed:
            self._jobs.get()()  # not kept in a variable: its result may be large, and would live until the next job

    def _close(self) -> None:
        self._is_closed = True
        self.sqlite.close()

    def _do(self, job: Job[Result], done: asyncio.Future[Result]) -> None:
        # Not by a future of `concurrent.futures`: the two futures, tied in a cycle, would keep the result alive.
        if done.cancelled():
            return
        try:
            settle: Callable[[], None] = partial(done.set_result, job(self.sqlite))
        except BaseException as e:
            settle = partial(done.set_exception, e)
        with suppress(RuntimeError):  # the event loop is closed
            done.get_loop().call_soon_threadsafe(_unless_done, done, settle)


def _unless_done(done: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    if not done.done():
        settle()
