"""StateFile: a store that outlives the process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from charhost.loading.stored_set import StoredSet
from charhost.report import ReloadReport
from charhost.resume.saved_session import Parked
from charhost.storage.conversation_table import ConversationTable
from charhost.storage.database import Database, Writing
from charhost.storage.reload_table import AttemptTable
from charhost.storage.set_table import Numbers, SetTable


class StateFile:
    """Keeps history, the bytes of the sets and conversations in one file; has to be opened and closed.

    A method that has returned has written to the disk. Whatever goes wrong with the file is raised, and leaves in it
    what was there; what cannot be read is a `StateError`.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self._attempts = AttemptTable(self._database)
        self._sets = SetTable(self._database)
        self._conversations = ConversationTable(self._database)

    async def open(self) -> None:
        """Open the file, or make it; raises `StateError`, and then nothing in it was changed."""
        await self._database.open()

    async def close(self) -> None:
        """Let go of the file, after what is being written."""
        await self._database.close()

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        """Keep the report of one attempt and, if it was applied, the set it put in place.

        A caller that goes away does not stop the write.
        """

        async def job(writing: Writing) -> Numbers:
            await self._attempts.add(writing, report)
            return {} if applied is None else await self._sets.add(writing, applied)

        await self._database.write(job, self._sets.remember)

    async def attempts(self, limit: int) -> tuple[ReloadReport, ...]:
        """Answer the reports of the last attempts, the newest first."""
        return await self._attempts.last(limit)

    async def attempt(self, reload_id: str) -> ReloadReport | None:
        """Look one attempt up."""
        return await self._attempts.find(reload_id)

    async def generations(self) -> tuple[int, ...]:
        """Answer the generations whose sets are kept, the newest first."""
        return await self._sets.generations()

    async def stored(self, generation: int) -> StoredSet | None:
        """Look up the set of one generation."""
        return await self._sets.find(generation)

    async def save(self, conversations: Sequence[Parked], forgotten: Sequence[str]) -> None:
        """Keep how these conversations stand, and none any more of those that are over."""
        await self._conversations.save(conversations, forgotten)

    async def sessions(self, most: int) -> list[str]:
        """Answer the ids of the conversations that were kept last, and drop all others."""
        return await self._conversations.sessions(most)

    async def conversation(self, session: str) -> Parked | None:
        """Look one conversation up."""
        return await self._conversations.find(session)
