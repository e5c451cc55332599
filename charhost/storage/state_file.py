"""The histories of the sets, and the conversations, in one file."""

from pathlib import Path

from charhost.storage.conversation_table import ConversationTable
from charhost.storage.database import Database
from charhost.storage.set_records import SetRecordTable


class StateFile:
    """Owns the file of the histories and the conversations; has to be opened and closed.

    Errors of the file are raised and leave its content as it was; content that cannot be read is a `StateError`.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.sets = SetRecordTable(self._database)
        self.conversations = ConversationTable(self._database)

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        await self._database.close()
