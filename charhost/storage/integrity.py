"""Whether a file may be used as a state file: its owner, its kind and its soundness."""

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from charhost.errors import StateError
from charhost.storage.schema import READABLE, VERSION

# "chst", the `application_id` of a state file in SQLite's header.
MAGIC = 0x63687374

# How many seconds a server that ends may take to let go of the file.
HANDOVER = 3.0

# Files that SQLite keeps beside the database while it is open, and after a crash.
_SIDE_FILES = ("-wal", "-shm", "-journal")
_CHECKS = ("PRAGMA quick_check(1)", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")


def check(path: Path) -> None:
    """Refuse a file that is no sound state file of this version, without writing to it; create a missing one.

    Raises `StateError`, and `sqlite3.Error` for a file that SQLite cannot read.
    """
    _make(path)
    with path.open("rb") as file:
        head = file.read(100)
    if not head:
        return
    if not head.startswith(b"SQLite format 3\0") or len(head) < 100:
        raise StateError(f"{path} is no state file: it is not a database; name another file")
    version, magic = (int.from_bytes(head[start : start + 4], "big") for start in (60, 68))
    _check_kind(path, magic, version)
    _check_content(path, magic)


def _check_kind(path: Path, magic: int, version: int, tables: int = 0) -> None:
    # While it is being made a file has neither; then it has no tables either.
    if magic not in (0, MAGIC) or (tables and not magic):
        raise StateError(f"{path} is no state file: it is the database of another program; name another file")
    if version not in (0, *READABLE):
        other = "a newer" if version > VERSION else "an older"
        raise StateError(
            f"the state file {path} is of version {version}, and this charhost knows {VERSION} only: "
            f"run {other} charhost, or name another file"
        )


def _check_content(path: Path, magic: int) -> None:
    # A connection that may only read: a writing one would copy its log into a damaged file when it is closed. But the
    # journal that a kill leaves while the file is made only a writing one can take back.
    mode = "rw" if magic and path.with_name(f"{path.name}-journal").exists() else "ro"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=HANDOVER)) as connection:
        found, version, tables = (connection.execute(query).fetchone()[0] for query in _CHECKS)
    if found != "ok":
        raise sqlite3.DatabaseError(found.splitlines()[-1])
    _check_kind(path, magic, version, tables)  # the log may have a later version


def _make(path: Path) -> None:
    """Make the file if there is none; refuse it where other users may write: its content will be executed."""
    folder = path.parent
    try:
        if folder.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            raise _exposed(folder, "the folder of the state file")
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
    """Refuse a file that another user may have written."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StateError(f"{path} is no state file: it is not a regular file; name another one")
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            raise _exposed(path, "the state file")
        path.chmod(0o600)
    except OSError as e:
        raise StateError(f"the state file {path} cannot be used: {e.strerror}") from e


def _exposed(path: Path, what: str) -> StateError:
    mode = "go-w" if path.is_dir() else "600"
    return StateError(
        f"{what} {path} is writable by other users, who could make the server run their code: "
        f"inspect it, then chown it to this user and chmod {mode}"
    )


def unusable(path: Path, error: sqlite3.Error) -> StateError:
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
