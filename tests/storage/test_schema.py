"""The tables of the state file, and those of the versions before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from charhost.report import DEFAULT_SET
from charhost.storage.integrity import MAGIC
from charhost.storage.schema import SCHEMA, VERSION
from tests.storage.files import asked, opened


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
