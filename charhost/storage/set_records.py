"""SetRecordTable: the histories of all sets, and the sets that were added, in the state file."""

import os

from charhost.reload.set_records import SetDefinition
from charhost.storage.connection import Statements
from charhost.storage.database import Database
from charhost.storage.history import ReloadHistoryTable, collect


class SetRecordTable:
    """`SetRecords` on the disk."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._histories: dict[str, ReloadHistoryTable] = {}

    def history(self, name: str) -> ReloadHistoryTable:
        return self._histories.setdefault(name, ReloadHistoryTable(self._database, name))

    async def added(self) -> tuple[SetDefinition, ...]:
        query = "SELECT name, directory, watch FROM added_sets ORDER BY name"
        rows = await self._database.read(lambda statements: statements.rows(query))
        return tuple(SetDefinition(name, os.fsdecode(directory), bool(watch)) for name, directory, watch in rows)

    async def add(self, definition: SetDefinition) -> None:
        row = (definition.name, os.fsencode(definition.directory), definition.watch)
        insert = "INSERT OR REPLACE INTO added_sets VALUES (?, ?, ?)"
        await self._database.write(lambda statements: statements.run(insert, *row))

    async def remove(self, name: str) -> None:
        def job(statements: Statements) -> None:
            for table in ("added_sets", "sets", "attempts"):
                statements.run(f"DELETE FROM {table} WHERE name = ?", name)
            collect(statements)

        await self._database.write(job)
        self._histories.pop(name, None)
