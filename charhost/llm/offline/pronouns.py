"""Swap the pronouns of an English text: what a user says to "you", the stand-in repeats as "I", and the reverse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from charhost.llm.offline.languages import english

_WORD = re.compile(r"\w+(?:['’]\w+)*|\W+")


class _Pronouns:
    """The table of pronouns in `phrases/en.toml`."""

    def __init__(self) -> None:
        table = english().table["pronouns"]
        self.to_you: Mapping[str, str] = table["to_you"]
        self.to_me: Mapping[str, str] = table["to_me"]
        self.with_i: Mapping[str, str] = table["with_i"]
        self.with_you: Mapping[str, str] = table["with_you"]
        self.auxiliaries = frozenset(table["auxiliaries"].split())
        self.conjunctions = frozenset(table["conjunctions"].split())
        self.prepositions = frozenset(table["prepositions"].split())
        self.verbs = frozenset(table["verbs"].split())
        self.after_object = frozenset(table["after_object"].split())
        self.adverbs = frozenset(table["adverbs"].split())


@lru_cache(maxsize=1)
def _pronouns() -> _Pronouns:
    return _Pronouns()


def swap(text: str) -> str:
    """Return *text* from the other side: "I lost my keys" becomes "you lost your keys"."""
    return _turn(text, {**_pronouns().to_you, **_pronouns().to_me})


def first_person(text: str) -> str:
    """Return *text* with "you" turned into "I"; its "me" and "my" stay as they are."""
    return _turn(text, _pronouns().to_me)


def _turn(text: str, words: Mapping[str, str]) -> str:
    tokens = _WORD.findall(text)
    lower = [token.replace("’", "'").lower() for token in tokens]
    turned = "".join(_turned(tokens, lower, at, words) for at in range(len(tokens)))
    return turned[:1].upper() + turned[1:] if text[:1].isupper() and lower[0] in ("my", "your") else turned


def _turned(tokens: list[str], lower: list[str], at: int, words: Mapping[str, str]) -> str:
    word, pronouns = lower[at], _pronouns()
    beside = _beside(lower, at, -2), _beside(lower, at, 2)
    if word == "you":
        return "I" if _is_subject(*beside) else "me"
    if word in pronouns.with_you and "you" in beside:
        return pronouns.with_you[word]
    if word in pronouns.with_i and "i" in beside and "i" in words:
        return pronouns.with_i[word]
    return words.get(word, tokens[at])


def _beside(lower: list[str], at: int, step: int) -> str:
    """Return the word before or after, past adverbs; "" where the sentence begins or ends there."""
    at += step
    while 0 <= at < len(lower) and lower[at - step // 2].isspace():
        if lower[at] not in _pronouns().adverbs:
            return lower[at]
        at += step
    return ""


def _is_subject(before: str, after: str) -> bool:
    """Return whether "you" between these words is the subject of its sentence."""
    pronouns = _pronouns()
    if after in pronouns.auxiliaries or before in pronouns.auxiliaries | pronouns.conjunctions or not before:
        return True
    if before in pronouns.prepositions | pronouns.verbs:
        return False
    return bool(after) and after not in pronouns.after_object
