"""Database: one SQLite file that belongs to one running server."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from charhost.errors import StateError
from charhost.state.schema import SCHEMA, VERSION

log = logging.getLogger("charhost.state")

# "chst": what tells a state file from any other database (SQLite's `application_id`).
MAGIC = 0x63687374

# How many seconds a server that ends may take to let go of the file.
_HANDOVER = 3.0
# How many seconds a query, and a close, wait for a disk that does not answer.
_ANSWER = 5.0
_CLOSE = 3.0
# What SQLite keeps beside the file while it is open, and after a crash.
_SIDE_FILES = ("-wal", "-shm", "-journal")
_CHECKS = ("PRAGMA quick_check(1)", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")

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
            await asyncio.to_thread(_check, self.path)
            self._connection = await self._connect()
            await self._claim(self._connection)
            self._identity = _identity(self.path)
        except sqlite3.Error as e:
            await self.close()
            raise _unusable(self.path, e) from e
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
        connection = aiosqlite.connect(self.path, isolation_level=None, timeout=_HANDOVER)
        # A disk that does not answer must not keep the process from ending.
        connection._thread.daemon = True
        return await connection

    async def _claim(self, connection: aiosqlite.Connection) -> None:
        count = "SELECT count(*) FROM sqlite_schema"
        # Read before the lock is asked for, or the shared memory of `_check_content` would be left lying about.
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
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check(path: Path) -> None:
    """Refuse what is no sound state file of this version, without writing to it; make an empty one where none is."""
    _make(path)
    with path.open("rb") as file:
        head = file.read(100)
    if not head:
        return
    if not head.startswith(b"SQLite format 3\0") or len(head) < 100:
        raise StateError(f"{path} is no state file: it is not a database; name another file")
    version, magic = (int.from_bytes(head[start : start + 4], "big") for start in (60, 68))
    _check_version(path, magic, version)
    _check_content(path, magic)


def _check_version(path: Path, magic: int, version: int) -> None:
    # While it is being made a file has neither; then it has no tables either.
    if magic not in (0, MAGIC):
        raise StateError(f"{path} is no state file: it is the database of another program; name another file")
    if version not in (0, VERSION):
        other = "a newer" if version > VERSION else "an older"
        raise StateError(
            f"the state file {path} is of version {version}, and this charhost knows {VERSION} only: "
            f"run {other} charhost, or name another file"
        )


def _check_content(path: Path, magic: int) -> None:
    # A connection that may only read: a writing one would copy its log into a damaged file when it is closed. But the
    # journal that a kill leaves while the file is made only a writing one can take back.
    mode = "rw" if magic and path.with_name(f"{path.name}-journal").exists() else "ro"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=_HANDOVER)) as connection:
        found, version, tables = (connection.execute(query).fetchone()[0] for query in _CHECKS)
    if found != "ok":
        raise sqlite3.DatabaseError(found.splitlines()[-1])
    _check_version(path, magic, version)  # the log may have a later one
    if tables and not magic:
        raise StateError(f"{path} is no state file: it is the database of another program; name another file")


def _make(path: Path) -> None:
    """Make the file if there is none; where others may write it is refused: what is in it will be executed."""
    folder = path.parent
    try:
        if folder.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            raise StateError(_exposed(folder, "the folder of the state file"))
        if not os.access(folder, os.W_OK):
            raise StateError(f"the state file {path} cannot be used: files have to be made beside it, in {folder}")
        for side_file in (path.with_name(path.name + ending) for ending in _SIDE_FILES):
            if os.path.lexists(side_file):
                _guard(side_file)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        _guard(path)
    except FileNotFoundError as e:
        raise StateError(f"the state file {path} cannot be made: its folder {folder} does not exist; make it") from e
    except OSError as e:
        raise StateError(f"the state file {path} cannot be made: {e.strerror}") from e


def _guard(path: Path) -> None:
    """Refuse a file that somebody else may have written."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StateError(f"{path} is no state file: it is not a regular file; name another one")
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            raise StateError(_exposed(path, "the state file"))
        path.chmod(0o600)
    except OSError as e:
        raise StateError(f"the state file {path} cannot be used: {e.strerror}") from e


def _exposed(path: Path, what: str) -> str:
    mode = "go-w" if path.is_dir() else "600"
    return (
        f"others than this user may write {what} {path}, and with it choose what code is run: "
        f"make sure that nobody has, and make it your own (chown, chmod {mode})"
    )


def _unusable(path: Path, error: sqlite3.Error) -> StateError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateError(f"the state file {path} is in use by another server; each needs one of its own")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StateError(
            f"the state file {path} is damaged ({error}); nothing was written to it: "
            "put a copy of it in its place, or move it away to begin with an empty one"
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) and not shutil.disk_usage(path.parent).free:
        return StateError(f"the state file {path} cannot be used: the disk is full ({error}); make room on it")
    return StateError(f"the state file {path} cannot be used: {error}")
