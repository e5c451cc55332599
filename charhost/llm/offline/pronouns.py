"""Swap the pronouns of an English text: the stand-in repeats "you" as "I", and the reverse."""

import re
from typing import Any

from charhost.llm.offline.languages import english

_WORD = re.compile(r"\w+(?:['’]\w+)*|\W+")


def swap(text: str) -> str:
    """Return *text* from the other side: "I lost my keys" becomes "you lost your keys"."""
    return _replaced(text, _table("to_you") | _table("to_me"))


def first_person(text: str) -> str:
    """Return *text* with "you" turned into "I"; its "me" and "my" stay as they are."""
    return _replaced(text, _table("to_me"))


def _replaced(text: str, words: dict[str, str]) -> str:
    tokens = _WORD.findall(text)
    lower = [token.replace("’", "'").lower() for token in tokens]
    result = "".join(_replacement(lower, at, words) or token for at, token in enumerate(tokens))
    if text[:1].isupper() and lower[0] in ("my", "your"):
        return result[:1].upper() + result[1:]
    return result


def _replacement(lower: list[str], at: int, words: dict[str, str]) -> str | None:
    word, before, after = lower[at], _beside(lower, at, -2), _beside(lower, at, 2)
    if word == "you":
        return "I" if _is_subject(before, after) else "me"
    if "i" in (before, after) and "i" in words:
        words = words | _table("with_i")
    if "you" in (before, after):
        words = words | _table("with_you")
    return words.get(word)


def _beside(lower: list[str], at: int, step: int) -> str:
    """Return the word before or after, past adverbs; "" where the sentence begins or ends there."""
    at += step
    while 0 <= at < len(lower) and lower[at - step // 2].isspace():
        if lower[at] not in _table("adverbs"):
            return lower[at]
        at += step
    return ""


def _is_subject(before: str, after: str) -> bool:
    auxiliaries = _table("auxiliaries")
    if not before or before in auxiliaries or before in _table("conjunctions") or after in auxiliaries:
        return True
    if before in _table("prepositions") or before in _table("verbs"):
        return False
    return bool(after) and after not in _table("after_object")


def _table(name: str) -> Any:
    return english().table["pronouns"][name]
