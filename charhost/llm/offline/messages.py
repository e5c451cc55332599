"""Read the messages of a request: their text, its sentences, and the user's name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from charhost.llm.offline.languages import Language, english, pattern

# Only the ends of messages are read, which bounds the time that a reply takes.
_MOST_TEXT = 2000
_MOST_SENTENCES = 6
_MOST_SENTENCE = 240


def text_of(content: Any) -> str:
    """Return the text of a message's content: a string, or a list of parts of which some may be images."""
    if isinstance(content, str):
        return content
    if not isinstance(content, (list, tuple)):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return " ".join(text for text in texts if isinstance(text, str))


def end_of(content: Any) -> str:
    """Return the end of a text; half a surrogate pair, which cannot be encoded, becomes a replacement character."""
    return re.sub(r"[\ud800-\udfff]", "\ufffd", text_of(content)[-_MOST_TEXT:].strip())


def sentences(text: str) -> Iterator[str]:
    """Yield the last sentences of *text*; a greeting is a sentence of its own, and leading small words are left out."""
    leading, hello, boundary = map(_rule, ("leading", "hello", "boundary"))
    for sentence in boundary.split(text)[-_MOST_SENTENCES:]:
        plain = leading.sub("", " ".join(sentence.split())[:_MOST_SENTENCE])
        rest = hello.sub("", plain)
        if rest != plain:
            yield plain[: len(plain) - len(rest)].strip(" ,!")
        if rest := leading.sub("", rest).rstrip(" .!…"):
            yield rest


def user_name(messages: Sequence[str], language: Language) -> str:
    """Return the name that the user last gave, or ""."""
    for text in reversed(messages):
        for named in (language.named, english().named):
            for match in reversed(list(re.finditer(named, text[:_MOST_SENTENCE]))):
                name = next(group for group in match.groups() if group)
                if name.split()[0].lower() not in english().table["sentences"]["no_names"]:
                    return name[:1].upper() + name[1:]
    return ""


def _rule(name: str) -> re.Pattern[str]:
    return re.compile(pattern(english().table["sentences"][name]), re.IGNORECASE)
