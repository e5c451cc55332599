"""One SQLite file that belongs to one running server."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from charhost.errors import StateError
from charhost.loading.directory_walk import identity
from charhost.storage.connection import Connection, Job, Result, Statements
from charhost.storage.integrity import HANDOVER, MAGIC, check, unusable
from charhost.storage.schema import SCHEMA, UPGRADE, VERSION

log = logging.getLogger("charhost.state")

# Seconds that a read, and a close, wait for the disk.
_READ = 5.0
_CLOSE = 3.0


class Database:
    """Owns the connection; a `write` is on the disk as a whole when it has returned (WAL, `synchronous=FULL`).

    Only the owner of the file may read it, and only one server at a time has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._connection: Connection | None = None
        self._identity: tuple[int, int] | None = None

    async def open(self) -> None:
        """Open the file, or create it; raise `StateError` if it cannot be used, with nothing in it changed."""
        try:
            await asyncio.to_thread(check, self.path)
            self._connection = await Connection.open(self.path, HANDOVER)
            await self._connection.submit(partial(_claim, self._connection))
            self._identity = _identity(self.path)
        except BaseException as e:
            await self.close()
            if isinstance(e, sqlite3.Error):
                raise unusable(self.path, e) from e
            raise

    async def close(self) -> None:
        """Close the file after the running writes; a disk that does not respond is given up."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await asyncio.wait_for(connection.close(), _CLOSE)
        except TimeoutError:
            log.error("the state file %s does not respond; the running writes may be lost", self.path)
            connection.stop()

    async def read(self, job: Job[Result]) -> Result:
        """Return the result of *job*; raise `StateError` if the file cannot be read, or does not respond."""
        try:
            async with asyncio.timeout(_READ):
                return await self._open.submit(job)
        except TimeoutError as e:
            raise StateError(f"the state file {self.path} has not responded for {_READ:g} s") from e
        except sqlite3.Error as e:
            raise StateError(f"the state file {self.path} cannot be read: {e}") from e

    async def write(self, job: Job[Result], written: Callable[[Result], None] = lambda _: None) -> None:
        """Do *job* in one transaction, then *written* with its result, both on the thread, also without the caller.

        Raises `StateError` if the file cannot be written.
        """
        try:
            transact = partial(self._open.transact, partial(self._checked, job))
            await asyncio.shield(self._open.submit(lambda statements: written(transact(statements))))
        except sqlite3.Error as e:
            raise StateError(f"the state file {self.path} cannot be written: {e}") from e

    def _checked(self, job: Job[Result], statements: Statements) -> Result:
        if _identity(self.path) != self._identity:
            raise StateError(f"the state file {self.path} was removed or replaced: restart the server")
        return job(statements)

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the state file is closed")
        return self._connection


def _claim(connection: Connection, statements: Statements) -> None:
    """Lock the file for this process, and create the tables of a new one."""
    # Read before the lock is taken: otherwise the shared memory that `check` used would stay behind.
    statements.rows("SELECT count(*) FROM sqlite_schema")
    for pragma in ("locking_mode = EXCLUSIVE", "foreign_keys = ON"):
        statements.run(f"PRAGMA {pragma}")
    connection.transact(_create, statements)
    # After a large write the log is cut to 16 MiB again.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "journal_size_limit = 16777216"):
        statements.run(f"PRAGMA {pragma}")


def _create(statements: Statements) -> None:
    ((tables,),) = statements.rows("SELECT count(*) FROM sqlite_schema")
    if not tables:
        for statement in (*SCHEMA, f"PRAGMA application_id = {MAGIC}"):
            statements.run(statement)
    elif 0 < statements.rows("PRAGMA user_version")[0][0] < VERSION:  # 0: a process that made the file was killed
        for statement in UPGRADE:
            statements.run(statement)
    statements.run(f"PRAGMA user_version = {VERSION}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        return identity(path)
    except OSError:
        return None
