"""Conversations in the engine: each process appends what it adds, as long as the last message is one that it knows."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

from charhost import jsontext
from charhost.fleet.engine.engine import Conflict, Engine, EngineError
from charhost.fleet.engine.streams import kept_for
from charhost.fleet.signature import Signature
from charhost.fleet.talks.talk_log import Content, Entry, Head, Kind, Talk, entries, fold, parts, talk_subject
from charhost.memory.offload import Offload
from charhost.resume.places import Edit
from charhost.resume.saved_session import SavedSession

log = logging.getLogger("charhost.fleet")

# A resume reads message by message, so after so many the whole conversation is written again.
MOST_MESSAGES = 32


@dataclass(slots=True)
class _Open:
    """A conversation of this process. What is not certain is written anew as a whole."""

    talk: Talk = field(default_factory=lambda: Talk(term=1))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_certain: bool = False
    is_lost: bool = False
    began: float = field(default_factory=time.monotonic)


class TalkArchive:
    """A `SharedArchive`: the last message of a conversation is the condition of the next one.

    A process that resumes a conversation appends a claim, so whatever the one before it writes later is refused.
    """

    def __init__(self, engine: Engine, signature: Signature, resume_ttl: float, offload: Offload) -> None:
        self._engine = engine
        self._signature = signature
        self._offload = offload
        self._writer = uuid4().hex
        self._longest = kept_for(resume_ttl) / 2
        # Seconds after which a session has to be saved again, also one that has not changed.
        self.renewal = self._longest / 2
        self._open: dict[str, _Open] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self.on_lost: Callable[[str], None] = lambda session: None
        engine.on_hint("talk", self._hear)

    async def save(self, saved: SavedSession) -> None:
        own = self._open.setdefault(saved.id, _Open())
        async with own.lock:
            await self._until_known(saved.id, own, lambda: self._write(own, saved))

    async def forget(self, session: str) -> None:
        own = self._open.get(session)
        if own is None:
            return
        async with own.lock:
            if own.talk.last:
                await self._until_known(session, own, lambda: self._end(session, own.talk))
        self._open.pop(session, None)

    async def claim(
        self, session: str, owners: Collection[str], kept: SavedSession | None = None
    ) -> SavedSession | None:
        """Take a conversation over from the process that wrote it last, if it is of one of the *owners*.

        *kept* is returned if no other process has written since.
        """
        own = self._open.setdefault(session, _Open())
        try:
            async with own.lock:
                talk = own.talk if kept is not None and own.is_certain and not own.is_lost else None
                claimed = await self._claimed(session, owners, talk)
                if claimed is None:
                    return None
                if claimed is not talk:
                    own.began = time.monotonic() - (claimed.stored - claimed.began)
                own.talk, own.is_certain, own.is_lost = claimed, True, False
                self._open[session] = own
        finally:
            if not own.talk.last:  # nothing is known of it
                self._open.pop(session, None)
        await self._engine.hint("talk", f"{session} {self._writer}".encode())
        return kept if claimed is talk else claimed.saved(session)

    def release(self, session: str) -> None:
        """Let go of the items of a saved conversation; one that is saved again is written anew as a whole."""
        own = self._open.get(session)
        if own is not None and not own.lock.locked():
            own.is_certain, own.talk.head, own.talk.places = False, None, {}

    def is_lost(self, session: str) -> bool:
        """Return whether another process has taken the conversation over."""
        own = self._open.get(session)
        return own is not None and own.is_lost

    def abandon(self, session: str) -> None:
        """Forget what is known of a conversation, and leave it to others."""
        self._open.pop(session, None)

    async def close(self) -> None:
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)

    async def _talk(self, session: str) -> Talk:
        subject = talk_subject(session)
        messages = await self._engine.walk(subject)
        size = sum(len(message.data) for message in messages)
        return await self._offload.run(size, partial(fold, self._signature, subject, messages))

    async def _claimed(self, session: str, owners: Collection[str], talk: Talk | None) -> Talk | None:
        """Append a claim, and return the conversation: *talk* itself if it has no later message."""
        while True:
            if talk is None or await self._engine.walk(talk_subject(session), talk.last):
                talk = await self._talk(session)
            if talk.head is None or talk.head.owner not in owners:
                return None
            talk.term += 1
            try:
                talk.last = await self._append(session, "claim", talk)
            except Conflict:
                talk = None
            else:
                talk.count += 1
                return talk

    async def _end(self, session: str, talk: Talk) -> None:
        talk.last = await self._append(session, "end", talk)
        await self._purge(session, talk.last)

    async def _write(self, own: _Open, saved: SavedSession) -> None:
        talk, head = own.talk, Head.of(saved)
        is_base = not own.is_certain or talk.count >= MOST_MESSAGES or time.monotonic() - own.began > self._longest
        edit = Edit.of({} if is_base else talk.places, saved.items)
        changed = head if is_base or head != talk.head else None
        if edit.is_empty and changed is None:
            return
        own.is_certain = False
        kind: Kind = "base" if is_base else "change"
        size = saved.weight if is_base else sum(item.weight for item in edit.new.values())
        content = await self._offload.run(size, lambda: jsontext.encoded(Content.of(changed, edit)))
        sequences = await self._append_all(saved.id, kind, talk, content)
        own.is_certain, talk.head, talk.places = True, head, edit.after
        talk.count += len(sequences)
        if is_base:
            talk.count, own.began = len(sequences), time.monotonic()
            await self._purge(saved.id, sequences[0])

    async def _append_all(self, session: str, kind: Kind, talk: Talk, content: bytes) -> list[int]:
        sequences = []
        pieces = parts(content)
        for part, piece in enumerate(pieces):
            talk.last = await self._append(session, kind, talk, piece, part, len(pieces))
            sequences.append(talk.last)
        return sequences

    async def _append(
        self, session: str, kind: Kind, talk: Talk, content: bytes = b"", part: int = 0, of: int = 1
    ) -> int:
        entry = Entry(kind=kind, writer=self._writer, term=talk.term, after=talk.last, part=part, of=of)
        subject = talk_subject(session)
        return await self._engine.write(subject, entry.record(self._signature, subject, content), talk.last)

    async def _until_known(self, session: str, own: _Open, write: Callable[[], Awaitable[None]]) -> None:
        """Repeat *write* while what it meets was not written by a process that has taken the conversation over."""
        while not own.is_lost:
            try:
                await write()
            except Conflict:
                await self._look(session, own)
            else:
                return

    async def _look(self, session: str, own: _Open) -> None:
        """Find out by whom the messages were written that this process does not know."""
        subject, talk = talk_subject(session), own.talk
        last = await self._engine.read(subject)
        if (last.sequence if last is not None else 0) == talk.last:
            return
        # A store that was lost begins anew, with lower numbers.
        after = talk.last if last is not None and last.sequence > talk.last else 0
        messages = await self._engine.walk(subject, after)
        found = [one.entry for one in entries(self._signature, subject, messages, after)]
        own.is_certain = False
        own.is_lost = any(entry.writer != self._writer and entry.term >= talk.term for entry in found)
        talk.last = messages[-1].sequence if messages else 0
        if own.is_lost:
            log.info("the session %s goes on at another node", session)
            self.on_lost(session)

    async def _purge(self, session: str, before: int) -> None:
        # What stays is not read again, and ends by itself.
        with contextlib.suppress(EngineError):
            await self._engine.purge(talk_subject(session), before)

    def _hear(self, hint: bytes) -> None:
        """Look at once at a conversation that another process has claimed, instead of at the next write."""
        session, _, writer = hint.decode(errors="replace").partition(" ")
        own = self._open.get(session)
        if own is not None and writer != self._writer and not own.is_lost:
            task = asyncio.create_task(self._look_at_claim(session, own))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

    async def _look_at_claim(self, session: str, own: _Open) -> None:
        async with own.lock:
            with contextlib.suppress(EngineError):
                if not own.is_lost:
                    await self._look(session, own)
