"""Dialogue: the items that a client sends with each request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from charhost.conversation.items import FunctionCall, Item, Message, Other, Part, Text
from charhost.jsontext import encoded

# The place of a request in its conversation: a digest of the user's messages that had a response, empty for none, and
# the client's calls since the last of them.
Place = tuple[bytes, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Heard:
    """Digests of the user's messages in a conversation: of all of them, and without the last; empty for none."""

    before: bytes = b""
    digest: bytes = b""

    def after(self, items: Iterable[Item]) -> Heard:
        """Return the digests once *items* follow, which costs what these have."""
        before, digest = self.before, self.digest
        for item in items:
            if _is_of_user(item):
                before, digest = digest, hashlib.sha256(digest + b"".join(map(_distinct, item.parts))).digest()
        return Heard(before, digest)


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The items, of a long conversation the last ones, and where they stand in it.

    `heard` is of the whole conversation; `calls` are the client's since the last message of the user.
    """

    items: Sequence[Item]
    heard: Heard
    calls: tuple[str, ...]
    is_answered: bool

    @classmethod
    def of(cls, items: Sequence[Item], heard: Heard | None = None) -> Dialogue:
        heard = Heard().after(items) if heard is None else heard
        calls = [item.call_id for item in _since_message(items) if isinstance(item, FunctionCall)]
        is_answered = bool(items) and not _is_of_user(items[-1])
        return cls(items, heard, tuple(calls), is_answered)

    @property
    def place(self) -> Place:
        return (self.heard.digest, self.calls) if self.is_answered else (self.heard.before, ())


def _is_of_user(item: Item) -> TypeGuard[Message]:
    return isinstance(item, Message) and item.role == "user"


def _since_message(items: Sequence[Item]) -> Sequence[Item]:
    """Return the items from the last message of the user on."""
    for index in range(len(items) - 1, -1, -1):
        if _is_of_user(items[index]):
            return items[index:]
    return items


def _distinct(part: Part) -> bytes:
    """Return the bytes of a part, with an end that UTF-8 does not have."""
    if isinstance(part, Text):
        return part.text.encode("utf-8", "replace") + b"\xff"
    return (encoded(part.part) if isinstance(part, Other) else repr(part).encode()) + b"\xfe"
