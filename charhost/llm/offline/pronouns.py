"""Swap the pronouns of an English text: the stand-in repeats "you" as "I", and the reverse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from charhost.llm.offline.languages import english

_WORD = re.compile(r"\w+(?:['’]\w+)*|\W+")


def swap(text: str) -> str:
    """Return *text* from the other side: "I lost my keys" becomes "you lost your keys"."""
    return _replaced(text, {**_table("to_you"), **_table("to_me")})


def first_person(text: str) -> str:
    """Return *text* with "you" turned into "I"; its "me" and "my" stay as they are."""
    return _replaced(text, _table("to_me"))


def _replaced(text: str, words: Mapping[str, str]) -> str:
    tokens = _WORD.findall(text)
    lower = [token.replace("’", "'").lower() for token in tokens]
    result = "".join(_replacement(lower, at, words) or token for at, token in enumerate(tokens))
    if text[:1].isupper() and lower[0] in ("my", "your"):
        return result[:1].upper() + result[1:]
    return result


def _replacement(lower: list[str], at: int, words: Mapping[str, str]) -> str | None:
    word, before, after = lower[at], _beside(lower, at, -2), _beside(lower, at, 2)
    if word == "you":
        return "I" if _is_subject(before, after) else "me"
    if "you" in (before, after) and word in _table("with_you"):
        return _table("with_you")[word]
    if "i" in (before, after) and word in _table("with_i") and "i" in words:
        return _table("with_i")[word]
    return words.get(word)


def _beside(lower: list[str], at: int, step: int) -> str:
    """Return the word before or after, past adverbs; "" where the sentence begins or ends there."""
    at += step
    while 0 <= at < len(lower) and lower[at - step // 2].isspace():
        if lower[at] not in _words("adverbs"):
            return lower[at]
        at += step
    return ""


def _is_subject(before: str, after: str) -> bool:
    if not before or before in _words("auxiliaries") | _words("conjunctions") or after in _words("auxiliaries"):
        return True
    if before in _words("prepositions") | _words("verbs"):
        return False
    return bool(after) and after not in _words("after_object")


def _table(name: str) -> Mapping[str, str]:
    table: Mapping[str, str] = english().table["pronouns"][name]
    return table


@cache
def _words(name: str) -> frozenset[str]:
    return frozenset(english().table["pronouns"][name].split())
