"""The events of a turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from charhost.conversation.items import FunctionCall, Message
from charhost.llm.model import Usage

Outcome = Literal["completed", "cancelled", "incomplete", "failed"]


@dataclass(frozen=True, slots=True)
class _ItemEvent:
    """`index` is the item's position in the response, `previous` the id of the item before it."""

    item: Message | FunctionCall
    index: int
    previous: str | None


class ItemAdded(_ItemEvent):
    """An item begins."""


class ItemDone(_ItemEvent):
    """An item is final."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the message that began last."""

    item_id: str
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """More of the arguments of the call that began last."""

    item_id: str
    call_id: str
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The error of a turn; `cause` is the error type of a `ModelError`, `retry_after` is in seconds."""

    code: str
    message: str
    cause: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a turn; `reason` explains a cancelled or incomplete one."""

    outcome: Outcome
    reason: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The last event: the ending of the turn, its visible items and the tokens that it used."""

    outcome: Outcome
    items: tuple[Message | FunctionCall, ...]
    usage: Usage
    reason: str | None = None
    failure: Failure | None = None


TurnEvent = ItemAdded | TextDelta | ArgumentsDelta | ItemDone | TurnEnded
