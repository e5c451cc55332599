"""The history in the state file: reports of reloads, and the sets that served."""

from __future__ import annotations

from charhost import jsontext
from charhost.loading.stored_set import StoredSet
from charhost.reload.store import MOST_ATTEMPTS
from charhost.report import ReloadReport
from charhost.storage.connection import Statements
from charhost.storage.database import Database
from charhost.storage.set_table import Numbers, SetTable


class History:
    """A `Store` on the disk; a method that has returned has written to it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sets = SetTable()

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        """Keep a report and, if the reload was applied, its set; also if the caller is cancelled."""
        text = jsontext.encoded(report).decode()

        def job(statements: Statements) -> Numbers:
            insert = "INSERT INTO attempts (reload_id, report) VALUES (?, ?)"
            number = statements.insert(insert, report.reload_id, text)
            statements.run("DELETE FROM attempts WHERE number <= ?", number - MOST_ATTEMPTS)
            return {} if applied is None else self._sets.add(statements, applied)

        await self._database.write(job, self._sets.remember)

    async def attempts(self, limit: int) -> tuple[ReloadReport, ...]:
        """Return the last reports, the newest first."""
        query = "SELECT report FROM attempts ORDER BY number DESC LIMIT ?"
        rows = await self._database.read(lambda statements: statements.rows(query, limit))
        return tuple(ReloadReport.model_validate_json(text) for (text,) in rows)

    async def attempt(self, reload_id: str) -> ReloadReport | None:
        query = "SELECT report FROM attempts WHERE reload_id = ?"
        rows = await self._database.read(lambda statements: statements.rows(query, reload_id))
        return ReloadReport.model_validate_json(rows[0][0]) if rows else None

    async def generations(self) -> tuple[int, ...]:
        """Return the generations whose sets are kept, the newest first."""
        query = "SELECT generation FROM sets ORDER BY generation DESC"
        rows = await self._database.read(lambda statements: statements.rows(query))
        return tuple(generation for (generation,) in rows)

    async def stored(self, generation: int) -> StoredSet | None:
        return await self._database.read(lambda statements: self._sets.find(statements, generation))
