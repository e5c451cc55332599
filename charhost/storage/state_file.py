"""The history and the conversations, in one file."""

from pathlib import Path

from charhost.report import DEFAULT_SET
from charhost.storage.conversation_table import ConversationTable
from charhost.storage.database import Database
from charhost.storage.history import ReloadHistoryTable


class StateFile:
    """Owns the file of the history and the conversations; has to be opened and closed.

    Errors of the file are raised and leave its content as it was; content that cannot be read is a `StateError`.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self._history = ReloadHistoryTable(self._database)
        self.conversations = ConversationTable(self._database)

    def history(self, name: str = DEFAULT_SET) -> ReloadHistoryTable:
        return self._history

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        await self._database.close()
