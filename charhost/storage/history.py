"""The history of a set in the state file: reports of reloads, and the characters that served."""

import os
from pathlib import Path
from weakref import WeakKeyDictionary, WeakValueDictionary

from charhost import jsontext
from charhost.errors import StateError
from charhost.loading.module_space import Member
from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import StoredSet
from charhost.reload.store import MOST_ATTEMPTS, MOST_SETS
from charhost.report import ReloadReport
from charhost.storage.connection import Statements
from charhost.storage.database import Database
from charhost.text import display

Numbers = dict[Snapshot, int]

_COLLECT = (
    "DELETE FROM snapshots WHERE id NOT IN (SELECT snapshot FROM members)",
    # The files of the newest snapshot of a directory stay: the next one is compared with them.
    """DELETE FROM files WHERE last IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM snapshots s WHERE s.directory = files.directory AND s.id BETWEEN files.first AND files.last)""",
    "DELETE FROM files WHERE directory NOT IN (SELECT directory FROM snapshots)",
    "DELETE FROM directories WHERE id NOT IN (SELECT directory FROM snapshots)",
    "DELETE FROM contents WHERE id NOT IN (SELECT content FROM files)",
)


class ReloadHistoryTable:
    """A `Store` on the disk for the set called *name*: each content of a file once, each snapshot as its changes.

    A method that has returned has written. Snapshots that are in memory are not read again.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._numbers: WeakKeyDictionary[Snapshot, int] = WeakKeyDictionary()
        self._alive: WeakValueDictionary[int, Snapshot] = WeakValueDictionary()

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        """Keep a report and, if the reload was applied, its set; also if the caller is cancelled."""
        text = jsontext.encoded(report).decode()

        def job(statements: Statements) -> Numbers:
            insert = "INSERT INTO attempts (reload_id, report, name) VALUES (?, ?, ?)"
            statements.insert(insert, report.reload_id, text, self._name)
            kept = "SELECT number FROM attempts WHERE name = ?1 ORDER BY number DESC LIMIT ?2"
            statements.run(
                f"DELETE FROM attempts WHERE name = ?1 AND number NOT IN ({kept})", self._name, MOST_ATTEMPTS
            )
            return {} if applied is None else self._add(statements, applied)

        await self._database.write(job, self._remember)

    async def attempts(self, limit: int) -> tuple[ReloadReport, ...]:
        query = "SELECT report FROM attempts WHERE name = ? ORDER BY number DESC LIMIT ?"
        rows = await self._database.read(lambda statements: statements.rows(query, self._name, limit))
        return tuple(ReloadReport.model_validate_json(text) for (text,) in rows)

    async def attempt(self, reload_id: str) -> ReloadReport | None:
        query = "SELECT report FROM attempts WHERE name = ? AND reload_id = ?"
        rows = await self._database.read(lambda statements: statements.rows(query, self._name, reload_id))
        return ReloadReport.model_validate_json(rows[0][0]) if rows else None

    async def generations(self) -> tuple[int, ...]:
        query = "SELECT generation FROM sets WHERE name = ? ORDER BY generation DESC"
        rows = await self._database.read(lambda statements: statements.rows(query, self._name))
        return tuple(generation for (generation,) in rows)

    async def stored(self, generation: int) -> StoredSet | None:
        return await self._database.read(lambda statements: self._find(statements, generation))

    def _add(self, statements: Statements, applied: StoredSet) -> Numbers:
        """Write a set, drop the oldest ones, and return the numbers of its snapshots for `_remember`."""
        snapshots = dict.fromkeys(member.snapshot for member in applied.members)
        numbers = {snapshot: self._number(statements, snapshot) for snapshot in snapshots}
        members = [
            (
                self._name,
                applied.generation,
                position,
                numbers[member.snapshot],
                os.fsencode(member.path),
                member.fingerprint,
            )
            for position, member in enumerate(applied.members)
        ]
        # One that goes on after a restart has its number already.
        dropped = statements.run("DELETE FROM sets WHERE name = ? AND generation = ?", self._name, applied.generation)
        row = (self._name, applied.generation, os.fsencode(applied.directory), applied.revision, applied.disk)
        statements.run("INSERT INTO sets VALUES (?, ?, ?, ?, ?)", *row)
        statements.executemany("INSERT INTO members VALUES (?, ?, ?, ?, ?, ?)", members)
        kept = "SELECT generation FROM sets WHERE name = ?1 ORDER BY generation DESC LIMIT ?2"
        dropped += statements.run(
            f"DELETE FROM sets WHERE name = ?1 AND generation NOT IN ({kept})", self._name, MOST_SETS
        )
        if dropped:
            collect(statements)
        return numbers

    def _number(self, statements: Statements, snapshot: Snapshot) -> int:
        """Return the number of a snapshot; write it if the file does not have it, or not any more."""
        number = self._numbers.get(snapshot)
        if number is None or not statements.rows("SELECT 1 FROM snapshots WHERE id = ?", number):
            number = _write(statements, snapshot)
        return number

    def _remember(self, numbers: Numbers) -> None:
        for snapshot, number in numbers.items():
            self._numbers[snapshot] = number
            self._alive[number] = snapshot

    def _find(self, statements: Statements, generation: int) -> StoredSet | None:
        query = "SELECT directory, revision, disk FROM sets WHERE name = ? AND generation = ?"
        found = statements.rows(query, self._name, generation)
        if not found:
            return None
        directory, revision, disk = found[0]
        query = "SELECT snapshot, path, fingerprint FROM members WHERE name = ? AND generation = ? ORDER BY position"
        rows = statements.rows(query, self._name, generation)
        snapshots = {number: self._read(statements, number) for number in {number for number, _, _ in rows}}
        members = tuple(Member(snapshots[number], os.fsdecode(path), mark) for number, path, mark in rows)
        return StoredSet(generation, os.fsdecode(directory), revision, members, disk)

    def _read(self, statements: Statements, number: int) -> Snapshot:
        if (alive := self._alive.get(number)) is not None:
            return alive
        query = "SELECT d.id, path, place, taken FROM snapshots s JOIN directories d ON d.id = directory WHERE s.id = ?"
        ((directory, path, place, taken),) = statements.rows(query, number)
        query = """SELECT path, digest, data FROM files JOIN contents ON id = content
            WHERE directory = ?1 AND first <= ?2 AND (last IS NULL OR last >= ?2) ORDER BY path"""
        files = [_file(os.fsdecode(path), *row) for row in statements.rows(query, directory, number)]
        by_path = {file.path: file for file in files}
        snapshot = Snapshot(Path(os.fsdecode(path)), by_path, taken=taken, place=os.fsdecode(place))
        self._remember({snapshot: number})
        return snapshot


def collect(statements: Statements) -> None:
    """Drop the snapshots and contents that no set has any more."""
    for statement in _COLLECT:
        statements.run(statement)


def _write(statements: Statements, snapshot: Snapshot) -> int:
    """Write the changes since the last snapshot of the directory; return the new number."""
    path, place = os.fsencode(snapshot.directory), os.fsencode(snapshot.place)
    statements.run("INSERT OR IGNORE INTO directories (path) VALUES (?)", path)
    ((directory,),) = statements.rows("SELECT id FROM directories WHERE path = ?", path)
    query = "SELECT path, digest FROM files JOIN contents ON id = content WHERE directory = ? AND last IS NULL"
    before: dict[bytes, bytes] = dict(statements.rows(query, directory))
    now = {os.fsencode(name): file for name, file in snapshot.files.items()}
    new = [(name, file) for name, file in now.items() if before.get(name) != file.digest]
    insert = "INSERT INTO snapshots (directory, place, taken) VALUES (?, ?, ?)"
    number = statements.insert(insert, directory, place, snapshot.taken)
    gone = [name for name, digest in before.items() if name not in now or now[name].digest != digest]
    ends = [(number - 1, directory, name) for name in gone]
    statements.executemany("UPDATE files SET last = ? WHERE directory = ? AND path = ? AND last IS NULL", ends)
    contents = [(file.digest, file.data) for _, file in new]
    statements.executemany("INSERT OR IGNORE INTO contents (digest, data) VALUES (?, ?)", contents)
    files = [(directory, name, number, file.digest) for name, file in new]
    statements.executemany("INSERT INTO files SELECT ?, ?, ?, NULL, id FROM contents WHERE digest = ?", files)
    return number


def _file(directory: str, name: bytes, digest: bytes, data: bytes) -> SourceFile:
    """Return a file as it was; raise `StateError` if its bytes, which will be executed, have changed."""
    path = os.fsdecode(name)
    file = SourceFile.of(path, os.path.join(directory, path), data)
    if file.digest != digest:
        raise StateError(f"the state file is damaged: the content of {display(file.location)} was changed")
    return file
