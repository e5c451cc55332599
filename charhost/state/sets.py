"""The sets that served, in the state file: each content once, each snapshot as what it changed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary, WeakValueDictionary

from charhost.snapshot import Snapshot
from charhost.source import SourceFile
from charhost.state.database import Database, Row, Writing
from charhost.store import MOST_SETS, Member, StoredSet

Digests = Mapping[bytes, bytes]

_COLLECT = (
    "DELETE FROM snapshots WHERE id NOT IN (SELECT snapshot FROM members)",
    # What the newest snapshot of a directory holds stays, as the next one is compared with it.
    """DELETE FROM files WHERE last IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM snapshots s WHERE s.directory = files.directory AND s.id BETWEEN files.first AND files.last)""",
    "DELETE FROM files WHERE directory NOT IN (SELECT directory FROM snapshots)",
    "DELETE FROM directories WHERE id NOT IN (SELECT directory FROM snapshots)",
    "DELETE FROM contents WHERE id NOT IN (SELECT content FROM files)",
)


@dataclass
class Draft:
    """What is known once the transaction has ended well.

    `numbers` are those of the snapshots that were written, `newest` is what the newest one of a directory holds, `left`
    are all that there are, by directory, if some were dropped.
    """

    numbers: dict[Snapshot, int] = field(default_factory=dict)
    newest: dict[bytes, Digests] = field(default_factory=dict)
    left: Mapping[bytes, set[int]] | None = None


class SetTable:
    """Writes and reads sets; what is in memory anyway is not read again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: WeakKeyDictionary[Snapshot, int] = WeakKeyDictionary()
        self._alive: WeakValueDictionary[int, Snapshot] = WeakValueDictionary()
        self._newest: dict[bytes, Digests] = {}

    async def add(self, writing: Writing, applied: StoredSet) -> Draft:
        """Write a set, and forget those that are too old; `accept` has to be told once that is done."""
        draft = Draft()
        directory, members = os.fsencode(applied.directory), []
        for position, member in enumerate(applied.members):
            number = await self._number(writing, member.snapshot, draft)
            members.append((applied.generation, position, number, os.fsencode(member.path), member.fingerprint))
        # One that goes on after a restart has its number already.
        await writing.run("DELETE FROM sets WHERE generation = ?", applied.generation)
        row = (applied.generation, directory, applied.revision, applied.disk)
        await writing.run("INSERT INTO sets VALUES (?, ?, ?, ?)", *row)
        await writing.run_all("INSERT INTO members VALUES (?, ?, ?, ?, ?)", members)
        kept = "SELECT generation FROM sets ORDER BY generation DESC LIMIT ?"
        if await writing.run(f"DELETE FROM sets WHERE generation NOT IN ({kept})", MOST_SETS):
            draft.left = await _collected(writing)
        return draft

    def accept(self, draft: Draft | None) -> None:
        """Take over what was written."""
        if draft is None:
            return
        self._newest.update(draft.newest)
        for snapshot, number in draft.numbers.items():
            self._numbers[snapshot] = number
            self._alive[number] = snapshot
        if draft.left is not None:
            self._forget_all_but(draft.left)

    def doubt(self) -> None:
        """Forget what was known of the file: nobody knows what became of a write that failed."""
        self._newest.clear()
        self._numbers.clear()

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
        snapshots = {number: await self._snapshot(number) for number in {number for number, _, _ in rows}}
        members = tuple(Member(snapshots[number], os.fsdecode(path), mark) for number, path, mark in rows)
        directory, revision, disk = found[0]
        return StoredSet(generation, os.fsdecode(directory), revision, members, disk)

    async def _number(self, writing: Writing, snapshot: Snapshot, draft: Draft) -> int:
        """Answer the number of a snapshot, which is written if it is new."""
        number = self._numbers.get(snapshot) or draft.numbers.get(snapshot)
        if number is None:
            number = draft.numbers[snapshot] = await self._write(writing, snapshot, draft)
        return number

    async def _write(self, writing: Writing, snapshot: Snapshot, draft: Draft) -> int:
        path = os.fsencode(snapshot.directory)
        await writing.run("INSERT OR IGNORE INTO directories (path) VALUES (?)", path)
        ((directory,),) = await writing.rows("SELECT id FROM directories WHERE path = ?", path)
        before = draft.newest[path] if path in draft.newest else await self._before(writing, path, directory)
        now = {os.fsencode(name): file.digest for name, file in snapshot.files.items()}
        number = await writing.insert(
            "INSERT INTO snapshots (directory, taken) VALUES (?, ?)", directory, snapshot.taken
        )
        new = [file for name, file in snapshot.files.items() if before.get(os.fsencode(name)) != file.digest]
        await writing.run_all(
            "UPDATE files SET last = ? WHERE directory = ? AND path = ? AND last IS NULL",
            [(number - 1, directory, name) for name, digest in before.items() if now.get(name) != digest],
        )
        await writing.run_all(
            "INSERT OR IGNORE INTO contents (digest, data) VALUES (?, ?)", [(file.digest, file.data) for file in new]
        )
        await writing.run_all(
            "INSERT INTO files SELECT ?, ?, ?, NULL, id FROM contents WHERE digest = ?",
            [(directory, os.fsencode(file.path), number, file.digest) for file in new],
        )
        draft.newest[path] = now
        return number

    async def _before(self, writing: Writing, path: bytes, directory: int) -> Digests:
        """Answer what the newest written snapshot of a directory holds."""
        if path not in self._newest:
            rows = await writing.rows(
                "SELECT path, digest FROM files JOIN contents ON id = content WHERE directory = ? AND last IS NULL",
                directory,
            )
            self._newest[path] = dict(map(tuple, rows))
        return self._newest[path]

    async def _snapshot(self, number: int) -> Snapshot:
        if (alive := self._alive.get(number)) is not None:
            return alive
        ((directory, path, taken),) = await self._database.rows(
            "SELECT d.id, path, taken FROM snapshots s JOIN directories d ON d.id = directory WHERE s.id = ?", number
        )
        rows = await self._database.rows(
            """SELECT path, digest, data FROM files JOIN contents ON id = content
                WHERE directory = ? AND first <= ? AND (last IS NULL OR last >= ?) ORDER BY path""",
            directory,
            number,
            number,
        )
        snapshot = Snapshot(Path(os.fsdecode(path)), _files(os.fsdecode(path), rows), taken=taken)
        self._numbers[snapshot], self._alive[number] = number, snapshot
        return snapshot

    def _forget_all_but(self, left: Mapping[bytes, set[int]]) -> None:
        self._newest = {path: digests for path, digests in self._newest.items() if path in left}
        numbers = set().union(*left.values())
        for snapshot, number in list(self._numbers.items()):
            if number not in numbers:
                del self._numbers[snapshot]
                self._alive.pop(number, None)


async def _collected(writing: Writing) -> Mapping[bytes, set[int]]:
    """Drop what no set needs any more, and answer the snapshots that are left, by directory."""
    for statement in _COLLECT:
        await writing.run(statement)
    left: defaultdict[bytes, set[int]] = defaultdict(set)
    query = "SELECT path, s.id FROM snapshots s JOIN directories d ON d.id = directory"
    for path, number in await writing.rows(query):
        left[path].add(number)
    return left


def _files(directory: str, rows: Iterable[Row]) -> dict[str, SourceFile]:
    files = {}
    for name, digest, data in rows:
        path = os.fsdecode(name)
        files[path] = SourceFile(path, os.path.join(directory, path), data, digest)
    return files
