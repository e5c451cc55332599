"""Talk: what matters of a conversation to its next offline answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charhost.llm.offline.phrases import ENGLISH, Phrases
from charhost.llm.offline.tool_arguments import command

# What is looked at: the ends of messages, and the end of a conversation. It keeps an answer fast, whatever is sent.
_MOST_TEXT = 2000
_MOST_MESSAGES = 100
_MOST_SENTENCES = 6
_MOST_SENTENCE = 240

# What stands before the words that matter, and between two thoughts; the words are English, the signs anybody's.
_LEAD = re.compile(
    r"^(?:(?:well|so|and|but|oh|ah|ok|okay|yes|yeah|no|actually|please|then|also|by the way)[,! ]+)+(?=\w)",
    re.IGNORECASE,
)
_THOUGHT = re.compile(
    r"(?<=[.!?…])\s+|\n+"
    r"|,? (?:and|but) (?=I(?:'m|'ve| (?:am|was|can't|don't|hate|love|like|want|need|feel|think|miss))\b)",
    re.IGNORECASE,
)
_HELLO = re.compile(r"^(?:hi|hello|hey)(?: there)?\b[,! ]*", re.IGNORECASE)
# What "my name is" and "I'm" may be followed by without it being a name.
_NO_NAMES = re.compile(
    r"(?:a|an|the|not|no|so|too|very|just|also|here|there|back|home|ok|okay|sure|sorry|fine|good|well|sad|happy|tired"
    r"|glad|afraid|lost|new|old|late|ready|done|busy|sick|ill|alone|bored|hungry|curious|interested|going|trying"
    r"|looking|later|maybe|when|if|crazy|tomorrow|again|now|stupid|whatever|something|unknown|secret|important|none"
    r"|nobody|it|this|that|what|hard|difficult|english|french|german|spanish|american|british|italian|european"
    r"|catholic|christian|muslim|jewish|buddhist)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Talk:
    """What matters of a conversation to its next answer; it lives as long as that answer takes.

    `heard` are the user's words and `said` the earlier answers. `results` are those of tools that were called last, of
    which `tool` names the last. `command` is a last message that begins like `/throw_dice`, in full.
    """

    heard: tuple[str, ...]
    said: str
    results: tuple[str, ...]
    tool: str
    command: str | None
    seed: bytes

    @classmethod
    def of(cls, character: str, messages: Sequence[Mapping[str, Any]]) -> Talk:
        """Read the messages of a request; those of the system are none of the talk, nor part of the seed."""
        recent = [
            message for message in messages[-_MOST_MESSAGES:] if message.get("role") not in ("system", "developer")
        ]
        texts = [(message.get("role"), _clipped(text_of(message.get("content")))) for message in recent]
        results = _last_results(texts)
        last = next((text_of(m.get("content")) for m in reversed(recent) if m.get("role") == "user"), "")
        return cls(
            heard=tuple(text.replace("’", "'") for role, text in texts if role == "user"),
            said="\n".join(text for role, text in texts if role == "assistant"),
            results=results,
            tool=_tool_of(recent) if results else "",
            command=last if not results and command(last) else None,
            seed=repr((character, texts)).encode("utf-8", "backslashreplace"),
        )


def text_of(content: Any) -> str:
    """The text of a message's content: a str, or a list of parts of which some may be images."""
    if isinstance(content, str):
        return content
    if not isinstance(content, (list, tuple)):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return " ".join(text for text in texts if isinstance(text, str))


def sentences(text: str) -> Iterator[str]:
    """Yield the last sentences, without greetings and small words before others."""
    for sentence in _THOUGHT.split(text)[-_MOST_SENTENCES:]:
        plain = _LEAD.sub("", " ".join(sentence.split())[:_MOST_SENTENCE])
        rest = _HELLO.sub("", plain)
        if rest != plain:
            yield plain[: len(plain) - len(rest)].strip(" ,!")
        if rest := _LEAD.sub("", rest).rstrip(" .!…"):
            yield rest


def user_name(heard: Sequence[str], phrases: Phrases) -> str:
    """What the user last asked to be called, or ""."""
    for text in reversed(heard):
        for named in (phrases.named, ENGLISH.named):
            for match in reversed(list(named.finditer(text[:_MOST_SENTENCE]))):
                name = next(group for group in match.groups() if group)
                if not _NO_NAMES.match(name.split()[0]):
                    return name[:1].upper() + name[1:]
    return ""


def _clipped(text: str) -> str:
    """The end of a text; half a character, which cannot be sent, is marked as unknown."""
    return re.sub(r"[\ud800-\udfff]", "\ufffd", text[-_MOST_TEXT:].strip())


def _last_results(texts: Sequence[tuple[Any, str]]) -> tuple[str, ...]:
    """The results at the end of the talk; there are several where tools were called side by side."""
    results: list[str] = []
    for role, text in reversed(texts):
        if role not in ("tool", "function"):
            break
        results.insert(0, text)
    return tuple(results)


def _tool_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """The name of the tool that the last message comes from."""
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    same = [call for call in calls if call.get("id") == messages[-1].get("tool_call_id")]
    function = (same or calls or [{}])[-1].get("function") or {}
    return str(function.get("name") or messages[-1].get("name") or "tool")
