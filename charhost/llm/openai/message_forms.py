"""Other forms of the same messages, for servers whose chat templates take fewer."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

Messages = list[dict[str, Any]]

_MESSAGE = ("role", "content", "name", "tool_calls", "tool_call_id")
_CALL = ("id", "type", "function")
_NO_WORDS = "(no words)"


def alternating(messages: Messages) -> Messages:
    """Join neighbours of one role; calls of tools and their results stay messages of their own."""
    groups: list[Messages] = []
    for message in one_system_message(messages):
        last = groups[-1][-1] if groups else None
        if last and last["role"] == message["role"] in ("user", "assistant") and not last.get("tool_calls"):
            groups[-1].append(message)
        else:
            groups.append([message])
    return [_merged(*group) for group in groups]


def one_system_message(messages: Messages) -> Messages:
    system = [message for message in messages if message["role"] in ("system", "developer")]
    others = [message for message in messages if message["role"] not in ("system", "developer")]
    if not system:
        return messages
    return [_merged(*system), *others]


def no_system_role(messages: Messages) -> Messages:
    """Put the system message before the first words of the user."""
    messages = one_system_message(messages)
    if messages[0]["role"] not in ("system", "developer"):
        return messages
    system, others = messages[0] | {"role": "user"}, messages[1:]
    if others and others[0]["role"] == "user":
        return [_merged(system, others[0]), *others[1:]]
    return [system, *others]


def no_developer_role(message: dict[str, Any]) -> dict[str, Any]:
    return message | {"role": "system"} if message["role"] == "developer" else message


def without_attachments(message: dict[str, Any]) -> dict[str, Any]:
    """Leave out attachments to the assistant's messages, of another server or of this one itself."""
    kept = {name: value for name, value in message.items() if name in _MESSAGE}
    if calls := message.get("tool_calls"):
        kept["tool_calls"] = [{name: value for name, value in call.items() if name in _CALL} for call in calls]
    return kept


def string_content(message: dict[str, Any]) -> dict[str, Any]:
    """Join the texts of a content of parts; an image has no string."""
    content = message.get("content")
    if not isinstance(content, list) or any(part.get("type") != "text" for part in content):
        return message
    return message | {"content": "\n".join(part["text"] for part in content)}


def nonempty_content(messages: Messages) -> Messages:
    """Leave out messages without content; one that holds or answers tool calls needs a word."""
    kept = [message for message in messages if any(map(message.get, ("content", "tool_calls", "tool_call_id")))]
    return [message if message.get("content") else message | {"content": _NO_WORDS} for message in kept]


def _merged(first: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    """Return *first* with the contents of *others* added; its name stays only where all have it."""
    if not others:
        return first
    contents = [message["content"] for message in (first, *others) if message.get("content")]
    texts = [content for content in contents if isinstance(content, str)]
    content = "\n\n".join(texts) if len(texts) == len(contents) else [part for c in contents for part in _parts(c)]
    merged = reduce(or_, others, first) | {"role": first["role"], "content": content}
    if any(message.get("name") != first.get("name") for message in others):
        merged.pop("name", None)
    return merged


def _parts(content: str | Sequence[Any]) -> Sequence[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
