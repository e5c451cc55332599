from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from charhost.conversation.excerpt import Cut
from charhost.conversation.items import FunctionCall, Item, Message
from charhost.llm.model import Usage

TurnOutcome = Literal["completed", "cancelled", "incomplete", "failed"]


@dataclass(frozen=True, slots=True)
class RequestReady:
    """The first event: the model is asked next, with a conversation that has this `cut`."""

    cut: Cut


@dataclass(frozen=True, slots=True)
class _ItemEvent:
    """`index` is the item's position in the response."""

    item: Message | FunctionCall
    index: int


class ItemAdded(_ItemEvent):
    pass


class ItemDone(_ItemEvent):
    pass


# Not frozen, since one is made for every word: a frozen dataclass sets each field by a call.
@dataclass(slots=True)
class TextDelta:
    item_id: str
    index: int
    text: str
    logprobs: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class TranscriptDelta:
    """The text whose sound comes next; without any if the voice failed."""

    item_id: str
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class SoundDelta:
    """A piece of sound in the format of the client, made of `size` bytes of 24 kHz."""

    item_id: str
    index: int
    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the model's thinking, which belongs to no item and is never spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    item_id: str
    call_id: str
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class TurnFailure:
    """The error of a turn; `cause` is the error type of a `ModelError`, `retry_after` is in seconds."""

    code: str
    message: str
    cause: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The last event; `items` are those that clients see, `reason` explains a cancelled or incomplete turn.

    Among `made` are also the calls that the server ran, and their results.
    """

    outcome: TurnOutcome
    items: tuple[Message | FunctionCall, ...] = ()
    usage: Usage = field(default_factory=Usage)
    cut: Cut = field(default_factory=Cut)
    reason: str | None = None
    failure: TurnFailure | None = None
    made: tuple[Item, ...] = ()


TurnEvent = RequestReady | ItemAdded | TextDelta | ReasoningDelta | ArgumentsDelta | ItemDone | TurnEnded
SpokenEvent = TurnEvent | TranscriptDelta | SoundDelta
