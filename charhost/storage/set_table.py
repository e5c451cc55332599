"""The sets that served, in the state file: each content once, each snapshot as its changes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from weakref import WeakKeyDictionary, WeakValueDictionary

from charhost.errors import StateError
from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import Member, StoredSet
from charhost.reload.store import MOST_SETS
from charhost.storage.connection import Row, Statements
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


class SetTable:
    """Writes and reads sets; snapshots that are in memory are not read again."""

    def __init__(self) -> None:
        self._numbers: WeakKeyDictionary[Snapshot, int] = WeakKeyDictionary()
        self._alive: WeakValueDictionary[int, Snapshot] = WeakValueDictionary()

    def add(self, statements: Statements, applied: StoredSet) -> Numbers:
        """Write a set, drop the oldest ones, and return the numbers of its snapshots for `remember`."""
        numbers: Numbers = {}
        members = []
        for position, member in enumerate(applied.members):
            number = self._number(statements, member.snapshot, numbers)
            members.append((applied.generation, position, number, os.fsencode(member.path), member.fingerprint))
        # One that goes on after a restart has its number already.
        dropped = statements.run("DELETE FROM sets WHERE generation = ?", applied.generation)
        row = (applied.generation, os.fsencode(applied.directory), applied.revision, applied.disk)
        statements.run("INSERT INTO sets VALUES (?, ?, ?, ?)", *row)
        statements.run_all("INSERT INTO members VALUES (?, ?, ?, ?, ?)", members)
        kept = "SELECT generation FROM sets ORDER BY generation DESC LIMIT ?"
        dropped += statements.run(f"DELETE FROM sets WHERE generation NOT IN ({kept})", MOST_SETS)
        if dropped:
            for statement in _COLLECT:
                statements.run(statement)
        return numbers

    def remember(self, numbers: Numbers) -> None:
        """Note the snapshots that are in the file."""
        for snapshot, number in numbers.items():
            self._numbers[snapshot] = number
            self._alive[number] = snapshot

    def find(self, statements: Statements, generation: int) -> StoredSet | None:
        found = statements.rows("SELECT directory, revision, disk FROM sets WHERE generation = ?", generation)
        if not found:
            return None
        rows = statements.rows(
            "SELECT snapshot, path, fingerprint FROM members WHERE generation = ? ORDER BY position", generation
        )
        snapshots = {number: self._read(statements, number) for number in {number for number, _, _ in rows}}
        members = tuple(Member(snapshots[number], os.fsdecode(path), mark) for number, path, mark in rows)
        directory, revision, disk = found[0]
        return StoredSet(generation, os.fsdecode(directory), revision, members, disk)

    def _number(self, statements: Statements, snapshot: Snapshot, numbers: Numbers) -> int:
        """Return the number of a snapshot; write it if the file does not have it, or not any more."""
        if snapshot not in numbers:
            number = self._numbers.get(snapshot)
            if number is None or not statements.rows("SELECT 1 FROM snapshots WHERE id = ?", number):
                number = _write(statements, snapshot)
            numbers[snapshot] = number
        return numbers[snapshot]

    def _read(self, statements: Statements, number: int) -> Snapshot:
        if (alive := self._alive.get(number)) is not None:
            return alive
        query = "SELECT d.id, path, place, taken FROM snapshots s JOIN directories d ON d.id = directory WHERE s.id = ?"
        ((directory, path, place, taken),) = statements.rows(query, number)
        rows = statements.rows(
            """SELECT path, digest, data FROM files JOIN contents ON id = content
                WHERE directory = ? AND first <= ? AND (last IS NULL OR last >= ?) ORDER BY path""",
            directory,
            number,
            number,
        )
        snapshot = _snapshot(os.fsdecode(path), os.fsdecode(place), rows, taken)
        self.remember({snapshot: number})
        return snapshot


def _write(statements: Statements, snapshot: Snapshot) -> int:
    """Write the changes since the last snapshot of the directory; return the new number."""
    path, place = os.fsencode(snapshot.directory), os.fsencode(snapshot.place)
    statements.run("INSERT OR IGNORE INTO directories (path) VALUES (?)", path)
    ((directory,),) = statements.rows("SELECT id FROM directories WHERE path = ?", path)
    rows = statements.rows(
        "SELECT path, digest FROM files JOIN contents ON id = content WHERE directory = ? AND last IS NULL", directory
    )
    before: dict[bytes, bytes] = dict(rows)
    now = {os.fsencode(name): file for name, file in snapshot.files.items()}
    gone = [name for name, digest in before.items() if name not in now or now[name].digest != digest]
    new = [(name, file) for name, file in now.items() if before.get(name) != file.digest]
    insert = "INSERT INTO snapshots (directory, place, taken) VALUES (?, ?, ?)"
    number = statements.insert(insert, directory, place, snapshot.taken)
    statements.run_all(
        "UPDATE files SET last = ? WHERE directory = ? AND path = ? AND last IS NULL",
        [(number - 1, directory, name) for name in gone],
    )
    statements.run_all(
        "INSERT OR IGNORE INTO contents (digest, data) VALUES (?, ?)", [(file.digest, file.data) for _, file in new]
    )
    statements.run_all(
        "INSERT INTO files SELECT ?, ?, ?, NULL, id FROM contents WHERE digest = ?",
        [(directory, name, number, file.digest) for name, file in new],
    )
    return number


def _snapshot(directory: str, place: str, rows: Iterable[Row], taken: int) -> Snapshot:
    """Return a snapshot as it was; raise `StateError` if its bytes, which will be executed, have changed."""
    files = {}
    for name, digest, data in rows:
        path = os.fsdecode(name)
        files[path] = SourceFile.of(path, os.path.join(directory, path), data)
        if files[path].digest != digest:
            raise StateError(f"the state file is damaged: the content of {display(files[path].location)} was changed")
    return Snapshot(Path(directory), files, taken=taken, place=place)
