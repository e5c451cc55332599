"""Conversations in the state file: item by item, so that a turn writes only its own items."""

import math
import time
from collections.abc import Collection, Sequence

from charhost import jsontext
from charhost.memory.weight import weigh
from charhost.resume.places import Edit, Places
from charhost.resume.saved_session import SavedSession
from charhost.resume.spelling import item_of, spelled
from charhost.storage.connection import Row, Statements
from charhost.storage.database import Database

_SAVE = """
    INSERT INTO conversations (id, saved, character, owner, dialect, config, conversation, set_name)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET saved = excluded.saved, character = excluded.character, owner = excluded.owner,
        dialect = excluded.dialect, config = excluded.config, conversation = excluded.conversation,
        set_name = excluded.set_name"""


class ConversationTable:
    def __init__(self, database: Database) -> None:
        self._database = database
        # Used on the thread of the connection only.
        self._written: dict[str, Places] = {}
        self._saved = 0.0

    async def save(self, conversations: Sequence[SavedSession], forgotten: Sequence[str]) -> None:
        """Write these conversations as they are now, and drop the *forgotten* ones; all of it or nothing."""

        def job(statements: Statements) -> dict[str, Places]:
            statements.executemany("DELETE FROM conversations WHERE id = ?", [(session,) for session in forgotten])
            statements.executemany(_SAVE, [_row(saved, self._moment()) for saved in conversations])
            return {saved.id: self._write(statements, saved) for saved in conversations}

        def written(places: dict[str, Places]) -> None:
            for session in forgotten:
                self._written.pop(session, None)
            self._written.update(places)

        await self._database.write(job, written)

    async def sessions(self, most: int) -> list[str]:
        kept = "SELECT id, saved FROM conversations ORDER BY saved DESC LIMIT ?"
        drop = "DELETE FROM conversations WHERE id NOT IN (SELECT id FROM conversations ORDER BY saved DESC LIMIT ?)"
        await self._database.write(lambda statements: statements.run(drop, most))
        rows = await self._database.read(lambda statements: statements.rows(kept, most))
        self._saved = max((saved for _, saved in rows), default=0.0)
        return [session for session, _ in rows]

    async def release(self, sessions: Collection[str]) -> None:
        """Let go of the items of saved sessions; one that is saved again is written anew as a whole."""

        def job(_: Statements) -> None:
            for session in sessions:
                self._written.pop(session, None)

        await self._database.read(job)

    async def find(self, session: str) -> SavedSession | None:
        return await self._database.read(lambda statements: self._read(statements, session))

    def _moment(self) -> float:
        """Return the time, or a later one after the clock was set back: conversations are in the order of these."""
        self._saved = max(time.time(), math.nextafter(self._saved, math.inf))
        return self._saved

    def _write(self, statements: Statements, saved: SavedSession) -> Places:
        if saved.id not in self._written:  # it is new, or was released
            statements.run("DELETE FROM items WHERE session = ?", saved.id)
        edit = Edit.of(self._written.get(saved.id, {}), saved.items)
        places = [(saved.id, place) for place in edit.gone]
        statements.executemany("DELETE FROM items WHERE session = ? AND position = ?", places)
        rows = [(saved.id, place, spelled(item)) for place, item in edit.new.items()]
        statements.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", rows)
        return edit.after

    def _read(self, statements: Statements, session: str) -> SavedSession | None:
        query = "SELECT character, owner, dialect, config, conversation, set_name FROM conversations WHERE id = ?"
        found = statements.rows(query, session)
        if not found:
            return None
        rows = statements.rows("SELECT position, item FROM items WHERE session = ? ORDER BY position", session)
        written = self._written[session] = {place: item_of(text) for place, text in rows}
        character, owner, dialect, text, conversation, set_name = found[0]
        config = None if text is None else jsontext.bounded(text)
        items, weight = tuple(written.values()), weigh(config, tuple(written.values()))
        return SavedSession(
            session, character, owner, dialect, config, conversation, items, weight=weight, set=set_name
        )


def _row(saved: SavedSession, moment: float) -> Row:
    config = None if saved.config is None else jsontext.encoded(saved.config).decode()
    return saved.id, moment, saved.character, saved.owner, saved.dialect, config, saved.conversation_id, saved.set
