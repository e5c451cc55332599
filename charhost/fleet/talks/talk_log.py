"""The log of a conversation: signed entries, and the conversation that follows from them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ValidationError

from charhost import jsontext
from charhost.fleet.engine.engine import Message
from charhost.fleet.signature import Signature
from charhost.memory.weight import weigh
from charhost.resume.places import Edit, Places
from charhost.resume.saved_session import SavedSession
from charhost.resume.spelling import item_of, spelled

# Of the content of a message; a longer entry is cut.
MOST_PART = 700_000

# base: the whole conversation. claim: whose it is from now on. end: it is over.
Kind = Literal["base", "change", "claim", "end"]


class Head(BaseModel, frozen=True):
    """All of a saved session but its items."""

    character: str
    owner: str
    dialect: str | None
    config: jsontext.Json | None
    conversation: str
    set: str

    @classmethod
    def of(cls, saved: SavedSession) -> "Head":
        config = dict(saved.config) if saved.config is not None else None
        return cls(
            character=saved.character,
            owner=saved.owner,
            dialect=saved.dialect,
            config=config,
            conversation=saved.conversation_id,
            set=saved.set,
        )


class Content(BaseModel, frozen=True):
    """The content of a base or of a change: items by their places."""

    head: Head | None
    gone: tuple[int, ...] = ()
    new: tuple[tuple[int, str], ...] = ()

    @classmethod
    def of(cls, head: Head | None, edit: Edit) -> "Content":
        return cls(head=head, gone=edit.gone, new=tuple((place, spelled(item)) for place, item in edit.new.items()))


class Entry(BaseModel, frozen=True):
    """An entry, or a part of one; `after` is the sequence of the message before it, `term` counts the claims."""

    kind: Kind
    writer: str
    term: int
    after: int
    part: int = 0
    of: int = 1

    @property
    def begins(self) -> bool:
        """Whether all that was before it may be gone."""
        return self.part == 0 and self.kind in ("base", "end")

    def record(self, signature: Signature, subject: str, content: bytes = b"") -> bytes:
        """Return the message to write."""
        return signature.sign(subject, jsontext.encoded(self) + b"\n" + content)


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that was read."""

    message: Message
    entry: Entry
    content: bytes = field(repr=False)


@dataclass(slots=True)
class Talk:
    """A conversation as far as it was read or written."""

    last: int = 0
    term: int = 0
    head: Head | None = None
    places: Places = field(default_factory=dict)
    # Of the messages since the base, which is the first.
    count: int = 0
    began: float = 0.0
    stored: float = 0.0

    def saved(self, session: str) -> SavedSession | None:
        if self.head is None:
            return None
        head, items = self.head, tuple(self.places.values())
        weight = weigh(head.config, items)
        return SavedSession(
            session, head.character, head.owner, head.dialect, head.config, head.conversation, items, weight, head.set
        )

    def read(self, found: Sequence[Found]) -> None:
        """Take the parts of an entry, which are complete."""
        first, last = found[0], found[-1]
        self.term = first.entry.term
        self.count += len(found)
        if first.entry.kind == "end":
            self.head, self.places = None, {}
        if first.entry.kind == "base":
            self.places, self.count, self.began = {}, len(found), first.message.stored
        if first.entry.kind == "base" or (first.entry.kind == "change" and self.head is not None):
            content = Content.model_validate_json(b"".join(part.content for part in found))
            self.head = content.head or self.head
            gone = set(content.gone)
            kept = {place: item for place, item in self.places.items() if place not in gone}
            self.places = kept | {place: item_of(text) for place, text in content.new}
        self.stored = last.message.stored


def parts(content: bytes) -> list[bytes]:
    return [content[start : start + MOST_PART] for start in range(0, len(content), MOST_PART)] or [b""]


def entries(signature: Signature, subject: str, messages: Iterable[Message], after: int = 0) -> Iterator[Found]:
    """Yield the entries of messages that follow the sequence *after*, without what the fleet has not written there.

    An entry that was copied to another place does not follow what it followed: it follows older messages than those
    before it. One that begins anew may follow newer ones, which were dropped while the messages were read.
    """
    for index, message in enumerate(messages):
        found = _opened(signature, subject, message)
        if found is not None and _follows(found.entry, after, is_first=index == 0):
            yield found
        after = message.sequence


def fold(signature: Signature, subject: str, messages: Sequence[Message]) -> Talk:
    """Return the conversation that all its messages make."""
    talk, pending = Talk(), list[Found]()
    for found in entries(signature, subject, messages):
        if found.entry.part == 0 or not _continues(pending, found):
            pending = []
        if found.entry.part == len(pending):
            pending.append(found)
        if len(pending) == found.entry.of:
            talk.read(pending)
            pending = []
    talk.last = messages[-1].sequence if messages else 0
    return talk


def talk_subject(name: str) -> str:
    """Return the subject of a conversation or a document; raise `ValueError` for a name that would be a wildcard."""
    if not re.fullmatch(r"\w+", name, re.ASCII):
        raise ValueError(f"no name for a subject: {name!r}")
    return f"talk.{name}"


def _follows(entry: Entry, after: int, *, is_first: bool) -> bool:
    return entry.after == after or (entry.begins and (is_first or entry.after > after))


def _continues(pending: Sequence[Found], found: Found) -> bool:
    """Return whether a part is of the same entry as the one right before it."""
    if not pending:
        return False
    before, after = pending[-1], found.entry
    return after == before.entry.model_copy(update={"part": after.part, "after": before.message.sequence})


def _opened(signature: Signature, subject: str, message: Message) -> Found | None:
    body = signature.verify(subject, message.data)
    if body is None:
        return None
    header, _, content = body.partition(b"\n")
    try:
        return Found(message, Entry.model_validate_json(header), content)
    except ValidationError:  # of another version of charhost
        return None
