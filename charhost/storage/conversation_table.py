"""Conversations in the state file: item by item, so that a turn writes only its own items."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from operator import is_
from typing import NamedTuple

from charhost import jsontext
from charhost.conversation.items import Item, weight
from charhost.resume.saved_session import SavedSession
from charhost.storage.connection import Row, Statements
from charhost.storage.database import Database
from charhost.storage.item_codec import item_of, spelled

_SAVE = """
    INSERT INTO conversations (id, saved, character, owner, dialect, config, conversation) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET saved = excluded.saved, character = excluded.character, owner = excluded.owner,
        dialect = excluded.dialect, config = excluded.config, conversation = excluded.conversation"""


class Written(NamedTuple):
    """The items of a conversation in the file, and their positions."""

    items: tuple[Item, ...] = ()
    places: tuple[int, ...] = ()


class Edit(NamedTuple):
    """The changes that bring a conversation in the file up to date, and its items afterwards."""

    session: str
    written: Written
    gone: Sequence[int]
    new: Sequence[tuple[Item, int]]


class ConversationTable:
    """Writes the changes of conversations, and reads conversations back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._written: dict[str, Written] = {}

    async def save(self, conversations: Sequence[SavedSession], forgotten: Sequence[str]) -> None:
        """Write these conversations as they are now, and drop the *forgotten* ones; all of it or nothing."""
        edits = [_edit(parked, self._written.get(parked.id, Written())) for parked in conversations]
        gone = [(edit.session, place) for edit in edits for place in edit.gone]
        # Encoded on the thread of the connection: there may be thousands of them.
        new = ((edit.session, place, spelled(item)) for edit in edits for item, place in edit.new)

        def job(statements: Statements) -> None:
            statements.run_all("DELETE FROM conversations WHERE id = ?", [(session,) for session in forgotten])
            statements.run_all(_SAVE, map(_row, conversations))
            statements.run_all("DELETE FROM items WHERE session = ? AND position = ?", gone)
            statements.run_all("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", new)

        def written(_: None) -> None:
            for session in forgotten:
                self._written.pop(session, None)
            self._written.update((edit.session, edit.written) for edit in edits)

        await self._database.write(job, written)

    async def sessions(self, most: int) -> list[str]:
        """Return the ids of the *most* conversations saved last, and drop all others."""
        kept = "SELECT id FROM conversations ORDER BY saved DESC LIMIT ?"
        drop = f"DELETE FROM conversations WHERE id NOT IN ({kept})"
        await self._database.write(lambda statements: statements.run(drop, most))
        return [session for (session,) in await self._database.read(lambda statements: statements.rows(kept, most))]

    async def find(self, session: str) -> SavedSession | None:
        return await self._database.read(lambda statements: self._read(statements, session))

    def _read(self, statements: Statements, session: str) -> SavedSession | None:
        query = "SELECT character, owner, dialect, config, conversation FROM conversations WHERE id = ?"
        found = statements.rows(query, session)
        if not found:
            return None
        query = "SELECT item, position FROM items WHERE session = ? ORDER BY position"
        rows = statements.rows(query, session)
        items = tuple(item_of(text) for text, _ in rows)
        self._written[session] = Written(items, tuple(place for _, place in rows))
        return _parked(session, found[0], items)


def _edit(parked: SavedSession, written: Written) -> Edit:
    """Return the changes: items are immutable, so an object that was written is not written again.

    Items that are written and in order keep their places, all others follow the last.
    """
    following = written.places[-1] + 1 if written.places else 0
    kept = written if _begins_with(parked.items, written.items) else _common(written, parked.items)
    new = parked.items[len(kept.items) :]
    places = tuple(range(following, following + len(new)))
    gone = () if kept is written else sorted(set(written.places).difference(kept.places))
    return Edit(parked.id, Written(parked.items, kept.places + places), gone, list(zip(new, places, strict=True)))


def _begins_with(items: Sequence[Item], written: Sequence[Item]) -> bool:
    """Return whether only the end is new, the usual case."""
    return len(items) >= len(written) and all(map(is_, written, items))


def _common(written: Written, items: Sequence[Item]) -> Written:
    """Return the written items that *items* begin with, in the same order."""
    waiting, places = deque(items), []
    for item, place in zip(*written, strict=True):
        if waiting and waiting[0] is item:
            waiting.popleft()
            places.append(place)
    return Written(tuple(items[: len(places)]), tuple(places))


def _row(parked: SavedSession) -> Row:
    config = None if parked.config is None else jsontext.encoded(parked.config).decode()
    return (
        parked.id,
        time.time(),
        parked.character,
        parked.owner,
        parked.dialect,
        config,
        parked.conversation_id,
    )


def _parked(session: str, row: Row, items: tuple[Item, ...]) -> SavedSession:
    character, owner, dialect, config, conversation = row
    return SavedSession(
        id=session,
        character=character,
        owner=owner,
        dialect=dialect,
        config=None if config is None else jsontext.decoded(config),
        conversation_id=conversation,
        items=items,
        weight=sum(map(weight, items)),
    )
