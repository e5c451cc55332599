"""The part of a conversation that the next reply of the stand-in depends on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from charhost.llm.offline.commands import Command, command_in
from charhost.llm.offline.languages import Language, compiled, english

# Only the ends of messages and of the conversation are read, which bounds the time that a reply takes.
_MOST_TEXT = 2000
_MOST_MESSAGES = 100
_MOST_SENTENCES = 6
_MOST_SENTENCE = 240


@dataclass(frozen=True)
class Context:
    """The part of a conversation that one reply depends on.

    `results` are those of the last tool calls, of which `tool` is the last. `command` is made of the last message.
    """

    user: tuple[str, ...]
    replies: str
    results: tuple[str, ...]
    tool: str
    command: Command | None
    seed: bytes

    @classmethod
    def of(cls, character: str, messages: Sequence[Mapping[str, Any]]) -> Context:
        recent = [m for m in messages[-_MOST_MESSAGES:] if m.get("role") not in ("system", "developer")]
        texts = [(message.get("role"), _clipped(text_of(message.get("content")))) for message in recent]
        results = _last_results(texts)
        last = next((text_of(m.get("content")) for m in reversed(recent) if m.get("role") == "user"), "")
        return cls(
            user=tuple(text.replace("’", "'") for role, text in texts if role == "user"),
            replies="\n".join(text for role, text in texts if role == "assistant"),
            results=results,
            tool=_tool_of(recent) if results else "",
            command=command_in(last),
            seed=repr((character, texts)).encode("utf-8", "backslashreplace"),
        )


def text_of(content: Any) -> str:
    """Return the text of a message's content: a string, or a list of parts of which some may be images."""
    if isinstance(content, str):
        return content
    if not isinstance(content, (list, tuple)):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return " ".join(text for text in texts if isinstance(text, str))


def sentences(text: str) -> Iterator[str]:
    """Yield the last sentences of *text*; a greeting is a sentence of its own, and leading small words are left out."""
    rules = _rules()
    for sentence in rules.boundary.split(text)[-_MOST_SENTENCES:]:
        plain = rules.leading.sub("", " ".join(sentence.split())[:_MOST_SENTENCE])
        rest = rules.hello.sub("", plain)
        if rest != plain:
            yield plain[: len(plain) - len(rest)].strip(" ,!")
        if rest := rules.leading.sub("", rest).rstrip(" .!…"):
            yield rest


def user_name(messages: Sequence[str], language: Language) -> str:
    """Return the name that the user last gave, or ""."""
    for text in reversed(messages):
        for named in (language.named, english().named):
            for match in reversed(list(named.finditer(text[:_MOST_SENTENCE]))):
                name = next(group for group in match.groups() if group)
                if not _rules().no_names.fullmatch(name.split()[0]):
                    return name[:1].upper() + name[1:]
    return ""


class _SentenceRules:
    def __init__(self) -> None:
        table = english().table["sentences"]
        leading, no_names = "|".join(table["leading"]), "|".join(table["no_names"])
        self.leading = re.compile(rf"^(?:(?:{leading})[,! ]+)+(?=\w)", re.IGNORECASE)
        self.boundary = compiled(table["boundary"], re.IGNORECASE)
        self.hello = compiled(table["hello"], re.IGNORECASE)
        self.no_names = re.compile(no_names, re.IGNORECASE)


@cache
def _rules() -> _SentenceRules:
    return _SentenceRules()


def _clipped(text: str) -> str:
    """Return the end of a text; half a surrogate pair, which cannot be encoded, becomes a replacement character."""
    return re.sub(r"[\ud800-\udfff]", "\ufffd", text[-_MOST_TEXT:].strip())


def _last_results(texts: Sequence[tuple[Any, str]]) -> tuple[str, ...]:
    """Return the results at the end of the conversation: several, if tools were called in parallel."""
    results: list[str] = []
    for role, text in reversed(texts):
        if role not in ("tool", "function"):
            break
        results.insert(0, text)
    return tuple(results)


def _tool_of(messages: Sequence[Mapping[str, Any]]) -> str:
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    same = [call for call in calls if call.get("id") == messages[-1].get("tool_call_id")]
    function = (same or calls or [{}])[-1].get("function") or {}
    return str(function.get("name") or messages[-1].get("name") or "tool")
