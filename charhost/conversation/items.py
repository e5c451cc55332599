from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Literal, TypeGuard

from charhost.ids import new_id
from charhost.jsontext import encoded
from charhost.llm.token_estimate import letters
from charhost.memory.weight import Weighed

Role = Literal["user", "system", "assistant"]
Status = Literal["in_progress", "completed", "incomplete"]

_PAGE = 4_000
_MOST_ATTACHED = 1 << 20
_UNHEARD = "(Something was said that could not be heard.)"


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    url: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """Spoken audio, of which only the transcript is kept.

    It `is_lost` if no word of it was understood, or heard: no model is shown it.
    """

    transcript: str | None = None
    is_lost: bool = False

    @classmethod
    def heard(cls, transcript: str) -> Audio:
        return cls(transcript, is_lost=not transcript.strip())

    @property
    def text(self) -> str:
        return self.transcript or _UNHEARD


@dataclass(frozen=True, slots=True)
class Other:
    """Another content part of a chat-completions message, passed on unchanged."""

    part: Mapping[str, Any]


Part = Text | Image | Audio | Other


@dataclass(frozen=True, slots=True)
class Attached:
    """Fields of a message, and of a tool call, that a model's server wants back; no other server receives them.

    Those of the message are with its first item. Without an `endpoint` they are a client's, for any server.
    """

    endpoint: str | None
    message: Mapping[str, Any] = field(default_factory=dict)
    call: Mapping[str, Any] = field(default_factory=dict)
    size: int = 0

    @classmethod
    def of(cls, endpoint: str | None, message: Mapping[str, Any], call: Mapping[str, Any]) -> Attached | None:
        """Return the fields; None if there are none or too many."""
        if not (message or call):
            return None
        size = len(encoded(message)) + len(encoded(call))
        return cls(endpoint, message, call, size) if size <= _MOST_ATTACHED else None


class _Counted(Weighed):
    """An item whose letters are counted once as well."""

    __slots__ = ("size",)
    size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "size", _size(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item(_Counted):
    """An item; `size` are the letters of it that a model reads, as `letters` counts: an image has those of a page."""

    id: str = field(default_factory=lambda: new_id("item"))
    status: Status = "completed"
    hidden: bool = False
    attached: Attached | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(_Item):
    role: Role
    parts: tuple[Part, ...]
    name: str | None = None

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def said(self) -> str:
        """The text, written or spoken."""
        return "\n".join(_said(part) for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall(_Item):
    """A call that the model made; `arguments` is JSON as the model wrote it. The server runs hidden calls itself."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionOutput(_Item):
    call_id: str
    output: str


Item = Message | FunctionCall | FunctionOutput


def is_lost(item: Item) -> bool:
    """Return whether a message is nothing but lost audio."""
    return isinstance(item, Message) and bool(item.parts) and all(map(_is_lost_part, item.parts))


def parted(items: Sequence[Item]) -> tuple[list[Message], list[Item]]:
    """Split *items* into the system messages at the front and the rest."""
    opening = [item for item in takewhile(is_system, items) if is_system(item)]
    return opening, list(items[len(opening) :])


def is_system(item: Item) -> TypeGuard[Message]:
    return isinstance(item, Message) and item.role == "system"


def turns(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items turn by turn; each but the first begins with a message of the user."""
    turn: list[Item] = []
    for item in items:
        if turn and _is_user(item) and not _is_user(turn[-1]):
            yield turn
            turn = []
        turn.append(item)
    yield turn


def _is_user(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "user"


def _is_lost_part(part: Part) -> bool:
    return isinstance(part, Audio) and part.is_lost


def _said(part: Part) -> str:
    return part.text if isinstance(part, Text) else (part.transcript or "") if isinstance(part, Audio) else ""


def _size(item: Any) -> int:
    attached = item.attached.size if item.attached is not None else 0
    if isinstance(item, FunctionCall):
        return len(item.name) + letters(item.arguments) + attached
    if isinstance(item, FunctionOutput):
        return letters(item.output)
    return sum(map(_part_size, item.parts)) + attached


def _part_size(part: Part) -> int:
    return letters(part.text) if isinstance(part, (Text, Audio)) else _PAGE
