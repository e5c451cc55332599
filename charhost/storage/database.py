"""Database: one SQLite file that belongs to one running server."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from charhost.errors import StateError
from charhost.loading.directory_walk import identity
from charhost.storage.integrity import HANDOVER, MAGIC, check, unusable
from charhost.storage.schema import SCHEMA, VERSION

log = logging.getLogger("charhost.state")

# How many seconds a query, and a close, wait for a disk that does not answer.
_ANSWER = 5.0
_CLOSE = 3.0

Row = tuple[Any, ...]
Result = TypeVar("Result")


class Database:
    """Owns the connection; what is written in one `write` is there as a whole or not at all.

    A write that has returned is on the disk (WAL, `synchronous=FULL`). Only its owner may read the file, and only one
    server at a time has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._connection: aiosqlite.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock = asyncio.Lock()
        self._writes: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Open the file, or make it; raises `StateError`, and then nothing in it was changed."""
        try:
            await asyncio.to_thread(check, self.path)
            self._connection = await self._connect()
            await self._claim(self._connection)
            self._identity = _identity(self.path)
        except sqlite3.Error as e:
            await self.close()
            raise unusable(self.path, e) from e
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Wait for what is being written, and let go of the file; a disk that does not answer is given up."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=_CLOSE)
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if self._writes:
                raise TimeoutError
            await asyncio.wait_for(connection.close(), _CLOSE)
        except TimeoutError:
            log.error("the state file %s does not answer; what was being written to it may be lost", self.path)
            connection.stop()  # once it answers, if that is while the process lives

    async def rows(self, query: str, *parameters: Any) -> list[Row]:
        """Answer what a query finds, beside no write that is half done; raises `StateError` if nothing is answered."""
        try:
            async with asyncio.timeout(_ANSWER), self._lock:
                return await _rows(self._open, query, parameters)
        except TimeoutError as e:
            raise StateError(f"the state file {self.path} has not answered for {_ANSWER:g} s") from e
        except sqlite3.Error as e:
            raise StateError(f"the state file {self.path} cannot be read: {e}") from e

    async def write(
        self, job: Callable[[Writing], Awaitable[Result]], written: Callable[[Result], None] = lambda _: None
    ) -> None:
        """Do *job* in one transaction and, if it ends well, tell *written*; both also if the caller goes away."""
        task = asyncio.create_task(self._write(job, written))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        await asyncio.shield(task)

    async def _write(self, job: Callable[[Writing], Awaitable[Result]], written: Callable[[Result], None]) -> None:
        async with self._lock:
            if _identity(self.path) != self._identity:
                raise StateError(f"the state file {self.path} was removed or replaced: restart the server")
            async with _transaction(self._open) as connection:
                result = await job(Writing(connection))
            written(result)

    @property
    def _open(self) -> aiosqlite.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the state file is closed")
        return self._connection

    async def _connect(self) -> aiosqlite.Connection:
        connection = aiosqlite.connect(self.path, isolation_level=None, timeout=HANDOVER)
        # A disk that does not answer must not keep the process from ending.
        connection._thread.daemon = True
        return await connection

    async def _claim(self, connection: aiosqlite.Connection) -> None:
        count = "SELECT count(*) FROM sqlite_schema"
        # Read before the lock is asked for, or the shared memory of `check` would be left lying about.
        await connection.execute_fetchall(count)
        await connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        await connection.execute("PRAGMA foreign_keys = ON")
        async with _transaction(connection):
            ((tables,),) = await connection.execute_fetchall(count)
            if not tables:
                for statement in SCHEMA:
                    await connection.execute(statement)
                await connection.execute(f"PRAGMA application_id = {MAGIC}")
                await connection.execute(f"PRAGMA user_version = {VERSION}")
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        # After a large write the log is cut to this size again.
        await connection.execute("PRAGMA journal_size_limit = 16777216")


class Writing:
    """What may be done within one transaction."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def rows(self, query: str, *parameters: Any) -> list[Row]:
        """Answer what a query finds."""
        return await _rows(self._connection, query, parameters)

    async def run(self, statement: str, *parameters: Any) -> int:
        """Run one statement and answer how many rows it touched."""
        return (await self._connection.execute(statement, parameters)).rowcount

    async def insert(self, statement: str, *parameters: Any) -> int:
        """Insert one row and answer its number."""
        row = (await self._connection.execute(statement, parameters)).lastrowid
        assert row is not None
        return row

    async def run_all(self, statement: str, rows: Iterable[Row]) -> None:
        """Run one statement for each of *rows*, which are read on another thread."""
        if rows != []:
            await self._connection.executemany(statement, rows)


async def _rows(connection: aiosqlite.Connection, query: str, parameters: Row) -> list[Row]:
    return [tuple(row) for row in await connection.execute_fetchall(query, parameters)]


@asynccontextmanager
async def _transaction(connection: aiosqlite.Connection) -> AsyncIterator[aiosqlite.Connection]:
    await connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        await connection.execute("COMMIT")
    except Exception:  # not if it is cancelled: then the disk was given up, and nobody may wait for it again
        if connection.in_transaction:  # a full disk may have ended it already
            await connection.execute("ROLLBACK")
        raise


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        return identity(path)
    except OSError:
        return None
