"""The sets that served, in the state file: each content once, each snapshot as what it changed."""

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
from charhost.storage.database import Database, Row, Writing
from charhost.text import display

Numbers = dict[Snapshot, int]

_COLLECT = (
    "DELETE FROM snapshots WHERE id NOT IN (SELECT snapshot FROM members)",
    # What the newest snapshot of a directory holds stays, as the next one is compared with it.
    """DELETE FROM files WHERE last IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM snapshots s WHERE s.directory = files.directory AND s.id BETWEEN files.first AND files.last)""",
    "DELETE FROM files WHERE directory NOT IN (SELECT directory FROM snapshots)",
    "DELETE FROM directories WHERE id NOT IN (SELECT directory FROM snapshots)",
    "DELETE FROM contents WHERE id NOT IN (SELECT content FROM files)",
)


class SetTable:
    """Writes and reads sets; what is in memory anyway is not read again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: WeakKeyDictionary[Snapshot, int] = WeakKeyDictionary()
        self._alive: WeakValueDictionary[int, Snapshot] = WeakValueDictionary()

    async def add(self, writing: Writing, applied: StoredSet) -> Numbers:
        """Write a set, and drop what is too old; answers the numbers of its snapshots, for `remember` at the end."""
        numbers: Numbers = {}
        members = []
        for position, member in enumerate(applied.members):
            number = await self._number(writing, member.snapshot, numbers)
            members.append((applied.generation, position, number, os.fsencode(member.path), member.fingerprint))
        # One that goes on after a restart has its number already.
        dropped = await writing.run("DELETE FROM sets WHERE generation = ?", applied.generation)
        row = (applied.generation, os.fsencode(applied.directory), applied.revision, applied.disk)
        await writing.run("INSERT INTO sets VALUES (?, ?, ?, ?)", *row)
        await writing.run_all("INSERT INTO members VALUES (?, ?, ?, ?, ?)", members)
        kept = "SELECT generation FROM sets ORDER BY generation DESC LIMIT ?"
        dropped += await writing.run(f"DELETE FROM sets WHERE generation NOT IN ({kept})", MOST_SETS)
        if dropped:
            for statement in _COLLECT:
                await writing.run(statement)
        return numbers

    def remember(self, numbers: Numbers) -> None:
        """Note which snapshots are in the file."""
        for snapshot, number in numbers.items():
            self._numbers[snapshot] = number
            self._alive[number] = snapshot

    async def generations(self) -> tuple[int, ...]:
        """Answer the generations whose sets are kept, the newest first."""
        rows = await self._database.rows("SELECT generation FROM sets ORDER BY generation DESC")
        return tuple(generation for (generation,) in rows)

    async def find(self, generation: int) -> StoredSet | None:
        """Read the set of one generation."""
        found = await self._database.rows("SELECT directory, revision, disk FROM sets WHERE generation = ?", generation)
        if not found:
            return None
        rows = await self._database.rows(
            "SELECT snapshot, path, fingerprint FROM members WHERE generation = ? ORDER BY position", generation
        )
        snapshots = {number: await self._read(number) for number in {number for number, _, _ in rows}}
        members = tuple(Member(snapshots[number], os.fsdecode(path), mark) for number, path, mark in rows)
        directory, revision, disk = found[0]
        return StoredSet(generation, os.fsdecode(directory), revision, members, disk)

    async def _number(self, writing: Writing, snapshot: Snapshot, numbers: Numbers) -> int:
        """Answer the number of a snapshot, which is written if it is not there, or not there any more."""
        if snapshot not in numbers:
            number = self._numbers.get(snapshot)
            if number is None or not await writing.rows("SELECT 1 FROM snapshots WHERE id = ?", number):
                number = await _write(writing, snapshot)
            numbers[snapshot] = number
        return numbers[snapshot]

    async def _read(self, number: int) -> Snapshot:
        if (alive := self._alive.get(number)) is not None:
            return alive
        query = "SELECT d.id, path, place, taken FROM snapshots s JOIN directories d ON d.id = directory WHERE s.id = ?"
        ((directory, path, place, taken),) = await self._database.rows(query, number)
        rows = await self._database.rows(
            """SELECT path, digest, data FROM files JOIN contents ON id = content
                WHERE directory = ? AND first <= ? AND (last IS NULL OR last >= ?) ORDER BY path""",
            directory,
            number,
            number,
        )
        snapshot = _snapshot(os.fsdecode(path), os.fsdecode(place), rows, taken)
        self.remember({snapshot: number})
        return snapshot


async def _write(writing: Writing, snapshot: Snapshot) -> int:
    """Write how a snapshot differs from the one of its directory that was written last."""
    path, place = os.fsencode(snapshot.directory), os.fsencode(snapshot.place)
    await writing.run("INSERT OR IGNORE INTO directories (path) VALUES (?)", path)
    ((directory,),) = await writing.rows("SELECT id FROM directories WHERE path = ?", path)
    rows = await writing.rows(
        "SELECT path, digest FROM files JOIN contents ON id = content WHERE directory = ? AND last IS NULL", directory
    )
    before: dict[bytes, bytes] = dict(rows)
    now = {os.fsencode(name): file for name, file in snapshot.files.items()}
    gone = [name for name, digest in before.items() if name not in now or now[name].digest != digest]
    new = [(name, file) for name, file in now.items() if before.get(name) != file.digest]
    insert = "INSERT INTO snapshots (directory, place, taken) VALUES (?, ?, ?)"
    number = await writing.insert(insert, directory, place, snapshot.taken)
    await writing.run_all(
        "UPDATE files SET last = ? WHERE directory = ? AND path = ? AND last IS NULL",
        [(number - 1, directory, name) for name in gone],
    )
    await writing.run_all(
        "INSERT OR IGNORE INTO contents (digest, data) VALUES (?, ?)", [(file.digest, file.data) for _, file in new]
    )
    await writing.run_all(
        "INSERT INTO files SELECT ?, ?, ?, NULL, id FROM contents WHERE digest = ?",
        [(directory, name, number, file.digest) for name, file in new],
    )
    return number


def _snapshot(directory: str, place: str, rows: Iterable[Row], taken: int) -> Snapshot:
    """Make a snapshot again; raises `StateError` if its bytes, which will be executed, are not those of before."""
    files = {}
    for name, digest, data in rows:
        path = os.fsdecode(name)
        files[path] = SourceFile.of(path, os.path.join(directory, path), data)
        if files[path].digest != digest:
            raise StateError(f"the state file is damaged: what it has of {display(files[path].location)} was changed")
    return Snapshot(Path(directory), files, taken=taken, place=place)
