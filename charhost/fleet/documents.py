"""Documents of a fleet, which one node writes for the others to find by their names."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from charhost.fleet.engine.engine import Conflict, Engine, EngineError, Message
from charhost.fleet.signature import Signature
from charhost.fleet.talks.talk_log import Entry, Found, entries, parts, talk_subject


@dataclass(frozen=True, slots=True)
class Document:
    """`stored` is the time of the engine, in seconds."""

    content: bytes = field(repr=False)
    stored: float


class Documents:
    """Writes whole documents, and lets one node take one; they are dropped as old conversations are."""

    def __init__(self, engine: Engine, signature: Signature) -> None:
        self._engine = engine
        self._signature = signature
        self._writer = uuid4().hex

    async def put(self, name: str, content: bytes) -> None:
        """Write a document in place of the last one of that name."""
        while True:
            last = await self._engine.read(talk_subject(name))
            with contextlib.suppress(Conflict):
                return await self._append(name, content, last.sequence if last is not None else 0)

    async def get(self, name: str) -> Document | None:
        return self._document(name, await self._engine.walk(talk_subject(name)))

    async def take(self, name: str) -> bool:
        """Drop a document, and return whether it was there: of several callers one takes it."""
        subject = talk_subject(name)
        messages = await self._engine.walk(subject)
        if self._document(name, messages) is None:
            return False
        end = Entry(kind="end", writer=self._writer, term=1, after=messages[-1].sequence)
        try:
            last = await self._engine.write(subject, end.record(self._signature, subject), end.after)
        except Conflict:
            return False
        await self._purge(subject, last)
        return True

    async def _append(self, name: str, content: bytes, last: int) -> None:
        subject, pieces, first = talk_subject(name), parts(content), 0
        for part, piece in enumerate(pieces):
            entry = Entry(kind="base", writer=self._writer, term=1, after=last, part=part, of=len(pieces))
            last = await self._engine.write(subject, entry.record(self._signature, subject, piece), last)
            first = first or last
        await self._purge(subject, first)

    async def _purge(self, subject: str, before: int) -> None:
        with contextlib.suppress(EngineError):
            await self._engine.purge(subject, before)

    def _document(self, name: str, messages: Sequence[Message]) -> Document | None:
        found = list(entries(self._signature, talk_subject(name), messages))
        last = found[-1].entry if found else None
        if last is None or last.kind != "base" or last.part != last.of - 1:
            return None
        whole: list[Found] = found[-last.of :]
        if [one.entry.part for one in whole] != list(range(last.of)):
            return None
        return Document(b"".join(one.content for one in whole), whole[-1].message.stored)
