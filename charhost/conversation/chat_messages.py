"""Convert items to the messages of a chat-completions request."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from charhost.conversation.items import (
    Attached,
    Audio,
    FunctionCall,
    FunctionOutput,
    Image,
    Item,
    Message,
    Other,
    Part,
    Text,
)
from charhost.jsontext import decoded

# The speakers of an example, as OpenAI's guides name them in system messages.
_EXAMPLE_SPEAKERS = ("example_user", "example_assistant")
# Chat models refuse a call without a result.
_NO_RESULT = "(There was no result.)"
_NOTHING = Attached(None)


def as_messages(items: Iterable[Item], endpoint: str | None = None) -> list[dict[str, Any]]:
    """Return items as the messages of a chat-completions request, with the attachments of that *endpoint*.

    Calls that follow each other, and the assistant's text right before them, are one message; each is followed by its
    result, wherever that is. A result without its call is left out: chat models refuse it.
    """
    items = list(items)
    results: defaultdict[str, deque[str]] = defaultdict(deque)
    for item in items:
        if isinstance(item, FunctionOutput):
            results[item.call_id].append(item.output)
    messages: list[dict[str, Any]] = []
    for _, group in groupby(items, key=type):
        alike = list(group)
        if calls := [item for item in alike if isinstance(item, FunctionCall)]:
            _add_calls(messages, calls, results, endpoint)
        spoken = (item for item in alike if isinstance(item, Message))
        messages += [_message_fields(item, endpoint) for item in spoken if item.role != "assistant" or item.parts]
    return messages


def _add_calls(
    messages: list[dict[str, Any]],
    calls: list[FunctionCall],
    results: Mapping[str, deque[str]],
    endpoint: str | None,
) -> None:
    """Add *calls* to the assistant's text before them, or as a message of their own, and then their results."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1] = _with_attached(messages[-1], _attached(calls[0], endpoint))
    messages[-1]["tool_calls"] = [_call_fields(call, endpoint) for call in calls]
    for call in calls:
        waiting = results[call.call_id]
        content = waiting.popleft() if waiting else _NO_RESULT
        messages.append({"role": "tool", "tool_call_id": call.call_id, "content": content})


def _attached(item: Item, endpoint: str | None) -> Attached:
    attached = item.attached
    return attached if attached is not None and attached.endpoint in (None, endpoint) else _NOTHING


def _with_attached(message: dict[str, Any], attached: Attached) -> dict[str, Any]:
    """Return *message* with the fields of a server; its parts go before the text."""
    fields = {**attached.message, **message}
    if isinstance(parts := attached.message.get("content"), list):
        content = message["content"]
        text = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
        fields["content"] = [*parts, *text]
    return fields


def _call_fields(call: FunctionCall, endpoint: str | None) -> dict[str, Any]:
    # Strict servers read the arguments of past calls too: broken ones would fail every turn after this one.
    function = {"name": call.name, "arguments": call.arguments if is_object(call.arguments) else "{}"}
    return {**_attached(call, endpoint).call, "id": call.call_id, "type": "function", "function": function}


def is_object(arguments: str) -> bool:
    try:
        return isinstance(decoded(arguments), dict)
    except ValueError:
        return False


def system_text(message: Message) -> str:
    """Return the text of a system message, after its speaker if it is part of an example: not all models read names."""
    return f"{message.name}: {message.text}" if message.name in _EXAMPLE_SPEAKERS else message.text


def _message_fields(message: Message, endpoint: str | None) -> dict[str, Any]:
    if message.role == "system" and message.name in _EXAMPLE_SPEAKERS:
        return {"role": "system", "content": system_text(message)}
    fields: dict[str, Any] = {"role": message.role, "content": _content(message.parts)}
    if message.name is not None:
        fields["name"] = message.name
    return fields if message.attached is None else _with_attached(fields, _attached(message, endpoint))


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    texts = [part.text for part in parts if isinstance(part, (Text, Audio))]
    return "\n".join(texts) if len(texts) == len(parts) else [_part_fields(part) for part in parts]


def _part_fields(part: Part) -> dict[str, Any]:
    match part:
        case Text() | Audio():
            return {"type": "text", "text": part.text}
        case Image(url, detail):
            image = {"url": url} if detail is None else {"url": url, "detail": detail}
            return {"type": "image_url", "image_url": image}
        case Other(fields):
            return dict(fields)
