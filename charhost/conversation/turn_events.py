"""What happens in a turn: frozen events, from the first item to the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from charhost.conversation.items import FunctionCall, Message
from charhost.llm.model import Usage

Outcome = Literal["completed", "cancelled", "incomplete", "failed"]


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """An item begins, `index` items after the first; `previous` is the id of what stands before it."""

    item: Message | FunctionCall
    index: int
    previous: str | None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More words of the message that began last."""

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
class ItemDone:
    """An item is as it will stay."""

    item: Message | FunctionCall
    index: int
    previous: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a turn failed; `cause` is what went wrong with the model, if it was that, `retry_after` is in seconds."""

    code: str
    message: str
    cause: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The last event; `reason` says why a turn was cancelled or is incomplete."""

    outcome: Outcome
    items: tuple[Message | FunctionCall, ...]
    usage: Usage
    reason: str | None = None
    failure: Failure | None = None


TurnEvent = ItemAdded | TextDelta | ArgumentsDelta | ItemDone | TurnEnded
