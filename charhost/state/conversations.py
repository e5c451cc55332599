"""Conversations, in the state file: item by item, so that a turn costs what it adds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence

from charhost import jsontext
from charhost.items import Item, weight
from charhost.parked import Parked
from charhost.state.database import Database, Row, Writing
from charhost.state.items import item_of, spelled

Placed = list[tuple[Item, int]]

_SAVE = """
    INSERT INTO conversations (id, saved, character, owner, dialect, config, conversation) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET saved = excluded.saved, character = excluded.character, owner = excluded.owner,
        dialect = excluded.dialect, config = excluded.config, conversation = excluded.conversation"""


class ConversationTable:
    """Writes what changed since the last time, and reads a conversation back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._written: dict[str, Placed] = {}

    async def save(self, conversations: Sequence[Parked], forgotten: Sequence[str]) -> None:
        """Write how these conversations stand, and drop those that are over; all of it or nothing."""
        placed = {parked.id: _placed(self._written.get(parked.id, []), parked.items) for parked in conversations}

        async def job(writing: Writing) -> None:
            await writing.run_all("DELETE FROM conversations WHERE id = ?", [(session,) for session in forgotten])
            await writing.run_all(_SAVE, map(_row, conversations))
            await writing.run_all("DELETE FROM items WHERE session = ? AND position = ?", self._gone(placed))
            await writing.run_all("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", self._new(placed))

        def written(_: None) -> None:
            for session in forgotten:
                self._written.pop(session, None)
            self._written.update(placed)

        await self._database.write(job, written)

    async def sessions(self, most: int) -> list[str]:
        """Answer the ids of the conversations that were saved last, and drop all others."""
        kept = "SELECT id FROM conversations ORDER BY saved DESC LIMIT ?"
        await self._database.write(
            lambda writing: writing.run(f"DELETE FROM conversations WHERE id NOT IN ({kept})", most)
        )
        return [session for (session,) in await self._database.rows(kept, most)]

    async def find(self, session: str) -> Parked | None:
        """Read one conversation."""
        found = await self._database.rows(
            "SELECT character, owner, dialect, config, conversation FROM conversations WHERE id = ?", session
        )
        if not found:
            return None
        query = "SELECT item, position FROM items WHERE session = ? ORDER BY position"
        placed = [(item_of(text), position) for text, position in await self._database.rows(query, session)]
        self._written[session] = placed
        return _parked(session, found[0], tuple(item for item, _ in placed))

    def _gone(self, placed: dict[str, Placed]) -> Iterable[Row]:
        for session, now in placed.items():
            left = {position for _, position in now}
            yield from ((session, at) for _, at in self._written.get(session, ()) if at not in left)

    def _new(self, placed: dict[str, Placed]) -> Iterable[Row]:
        for session, now in placed.items():
            known = {position for _, position in self._written.get(session, ())}
            yield from ((session, at, spelled(item)) for item, at in now if at not in known)


def _placed(written: Placed, items: Sequence[Item]) -> Placed:
    """Give each item its place: those that are written and in order keep theirs, all others follow the last.

    Items are never changed, only replaced, so the same object needs not be written again.
    """
    waiting = deque(items)
    placed = []
    for item, position in written:
        if waiting and waiting[0] is item:
            placed.append((waiting.popleft(), position))
    following = written[-1][1] + 1 if written else 0
    return placed + [(item, following + index) for index, item in enumerate(waiting)]


def _row(parked: Parked) -> Row:
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


def _parked(session: str, row: Row, items: tuple[Item, ...]) -> Parked:
    character, owner, dialect, config, conversation = row
    return Parked(
        id=session,
        character=character,
        owner=owner,
        dialect=dialect,
        config=None if config is None else jsontext.decoded(config),
        conversation_id=conversation,
        items=items,
        weight=sum(map(weight, items)),
    )
