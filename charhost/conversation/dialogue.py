"""Dialogue: the items that a client sends with each request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from charhost.conversation.items import FunctionCall, Item, Message, Other, Part, Text
from charhost.jsontext import encoded

# The place of a request in its conversation: a digest of the user's messages that had a response, empty for none, and
# the client's calls since the last of them.
Place = tuple[bytes, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The items, and where they stand in their conversation.

    `digest` is of all messages of the user, `before` of those without the last one, both empty for no message; `calls`
    are the client's since the last one.
    """

    items: Sequence[Item]
    before: bytes
    digest: bytes
    calls: tuple[str, ...]
    is_answered: bool

    @classmethod
    def of(cls, items: Iterable[Item]) -> Dialogue:
        items = list(items)
        messages = [item for item in items if isinstance(item, Message) and item.role == "user"]
        before, digest = _digests(messages)
        latest = items[items.index(messages[-1]) :] if messages else items
        calls = tuple(item.call_id for item in latest if isinstance(item, FunctionCall))
        is_answered = bool(items) and (not messages or items[-1] is not messages[-1])
        return cls(items, before, digest, calls, is_answered)

    @property
    def place(self) -> Place:
        return (self.digest, self.calls) if self.is_answered else (self.before, ())


def _digests(messages: Sequence[Message]) -> tuple[bytes, bytes]:
    """Return the digests of *messages* without the last one, and of all of them."""
    hasher, before, digest = hashlib.sha256(), b"", b""
    for message in messages:
        hasher.update(b"".join(map(_distinct, message.parts)) + b"\xfd")
        before, digest = digest, hasher.digest()
    return before, digest


def _distinct(part: Part) -> bytes:
    """Return the bytes of a part, with an end that UTF-8 does not have."""
    if isinstance(part, Text):
        return part.text.encode("utf-8", "replace") + b"\xff"
    return (encoded(part.part) if isinstance(part, Other) else repr(part).encode()) + b"\xfe"
