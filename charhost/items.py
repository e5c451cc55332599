"""The items of a conversation, and how a chat model is told of them."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Literal, TypeGuard

from pydantic_core import from_json

from charhost.ids import new_id

Role = Literal["user", "system", "assistant"]
Status = Literal["in_progress", "completed", "incomplete"]

# A chat model refuses a call that was never answered.
_NO_RESULT = "(There was no result.)"
_PAGE = 4_000
_UNHEARD = "(Something was said that could not be heard.)"


def _new_item_id() -> str:
    return new_id("item")


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, by URL (also `data:`)."""

    url: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """Something spoken, and what was understood of it."""

    transcript: str | None = None


@dataclass(frozen=True, slots=True)
class Other:
    """A content part of a chat-completions message that charhost passes on as it is."""

    part: Mapping[str, Any]


Part = Text | Image | Audio | Other


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something said by one of the three."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    id: str = field(default_factory=_new_item_id)
    status: Status = "completed"
    hidden: bool = False

    @property
    def text(self) -> str:
        """The words of it."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """A call that the model made; `arguments` is JSON as the model wrote it. A hidden one is answered here."""

    call_id: str
    name: str
    arguments: str
    id: str = field(default_factory=_new_item_id)
    status: Status = "completed"
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionOutput:
    """What a call brought."""

    call_id: str
    output: str
    id: str = field(default_factory=_new_item_id)
    status: Status = "completed"
    hidden: bool = False


Item = Message | FunctionCall | FunctionOutput


def size(item: Item) -> int:
    """Count the characters of an item, as far as a model reads them; an image counts as a page of text."""
    if isinstance(item, FunctionCall):
        return len(item.name) + len(item.arguments)
    if isinstance(item, FunctionOutput):
        return len(item.output)
    return sum(map(_part_size, item.parts))


def weight(item: Item) -> int:
    """Count the characters that an item takes in memory, images included."""
    return sum(map(_part_weight, item.parts)) if isinstance(item, Message) else size(item)


def as_messages(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Spell items as messages of a chat-completions request.

    Calls that follow each other, and the assistant's text right before them, are one message; each is followed by its
    result, wherever that stands. A result without its call is left out: chat models refuse it.
    """
    items = list(items)
    results: defaultdict[str, deque[str]] = defaultdict(deque)
    for item in items:
        if isinstance(item, FunctionOutput):
            results[item.call_id].append(item.output)
    messages: list[dict[str, Any]] = []
    calls: list[FunctionCall] = []
    for item in items:
        if isinstance(item, FunctionCall):
            calls.append(item)
            continue
        _add_calls(messages, calls, results)
        calls = []
        if isinstance(item, Message) and (item.role != "assistant" or item.parts):
            messages.append(_spoken(item))
    _add_calls(messages, calls, results)
    return messages


def parted(items: Sequence[Item]) -> tuple[list[Message], list[Item]]:
    """Part the system messages at the front from what was said after them."""
    opening = [item for item in takewhile(is_system, items) if is_system(item)]
    return opening, list(items[len(opening) :])


def is_system(item: Item) -> TypeGuard[Message]:
    """Say whether it is a wish of the client about the whole conversation."""
    return isinstance(item, Message) and item.role == "system"


def turns(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Yield the items turn by turn; each begins with what the user said, the first perhaps with something else."""
    turn: list[Item] = []
    answered = False
    for item in items:
        begins = isinstance(item, Message) and item.role == "user"
        if begins and answered:
            yield turn
            turn = []
        answered = not begins
        turn.append(item)
    yield turn


def _part_size(part: Part) -> int:
    if isinstance(part, Text):
        return len(part.text)
    return len(part.transcript or _UNHEARD) if isinstance(part, Audio) else _PAGE


def _part_weight(part: Part) -> int:
    if isinstance(part, Image):
        return len(part.url)
    return len(str(part.part)) if isinstance(part, Other) else _part_size(part)


def _add_calls(messages: list[dict[str, Any]], calls: list[FunctionCall], results: Mapping[str, deque[str]]) -> None:
    """Add *calls* to the assistant's text before them, or as a message of their own, and then their results."""
    if not calls:
        return
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1]["tool_calls"] = [_spelled_call(call) for call in calls]
    for call in calls:
        waiting = results[call.call_id]
        content = waiting.popleft() if waiting else _NO_RESULT
        messages.append({"role": "tool", "tool_call_id": call.call_id, "content": content})


def _spelled_call(call: FunctionCall) -> dict[str, Any]:
    # Strict servers read the arguments of past calls too: broken ones would fail every turn after this one.
    function = {"name": call.name, "arguments": call.arguments if is_object(call.arguments) else "{}"}
    return {"id": call.call_id, "type": "function", "function": function}


def is_object(arguments: str) -> bool:
    """Say whether the arguments of a call are a whole JSON object."""
    try:
        return isinstance(from_json(arguments), dict)
    except ValueError:
        return False


def _spoken(message: Message) -> dict[str, Any]:
    plain = all(isinstance(part, (Text, Audio)) for part in message.parts)
    parts = [_spelled_part(part) for part in message.parts]
    content = "\n".join(part["text"] for part in parts) if plain else parts
    spoken: dict[str, Any] = {"role": message.role, "content": content}
    return spoken if message.name is None else spoken | {"name": message.name}


def _spelled_part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Audio(transcript):
            return {"type": "text", "text": transcript or _UNHEARD}
        case Image(url, detail):
            image = {"url": url} if detail is None else {"url": url, "detail": detail}
            return {"type": "image_url", "image_url": image}
        case Other(fields):
            return dict(fields)
