"""The attempts to reload, in the state file, each as its report."""

from __future__ import annotations

from charhost import jsontext
from charhost.reload.store import MOST_ATTEMPTS
from charhost.report import ReloadReport
from charhost.storage.database import Database, Writing


class AttemptTable:
    """Writes and reads reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, writing: Writing, report: ReloadReport) -> None:
        """Write a report, and drop those that are too old."""
        text = jsontext.encoded(report).decode()
        number = await writing.insert("INSERT INTO attempts (reload_id, report) VALUES (?, ?)", report.reload_id, text)
        await writing.run("DELETE FROM attempts WHERE number <= ?", number - MOST_ATTEMPTS)

    async def last(self, limit: int) -> tuple[ReloadReport, ...]:
        """Read the last reports, the newest first."""
        rows = await self._database.rows("SELECT report FROM attempts ORDER BY number DESC LIMIT ?", limit)
        return tuple(ReloadReport.model_validate_json(text) for (text,) in rows)

    async def find(self, reload_id: str) -> ReloadReport | None:
        """Read one report."""
        rows = await self._database.rows("SELECT report FROM attempts WHERE reload_id = ?", reload_id)
        return ReloadReport.model_validate_json(rows[0][0]) if rows else None
