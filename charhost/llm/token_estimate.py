"""Estimate how many tokens a text has, by its script; a model's own usage is more exact, where it is known."""

import re
from collections.abc import Iterator
from itertools import accumulate

LETTERS_PER_TOKEN = 4

# Of Greek, Cyrillic, Hebrew, Arabic and the like two letters make a token; from Devanagari and Thai on, and of Chinese,
# Japanese and Korean, each is one.
_HALVES = re.compile("[\u0370-\u07ff]+")
_WHOLES = re.compile("[\u0800-\U0010ffff]+")


def letters(text: str) -> int:
    """Return the number of Latin letters that have about as many tokens as *text*."""
    if text.isascii():
        return len(text)
    return len(text) + _length(_HALVES, text) + (LETTERS_PER_TOKEN - 1) * _length(_WHOLES, text)


def tokens(count: int) -> int:
    """Return the tokens of so many Latin letters, rounded up."""
    return -(-count // LETTERS_PER_TOKEN)


def beginning(text: str, most: int) -> str:
    """Return the longest beginning of *text* with at most so many letters, as `letters` counts them."""
    if text.isascii():
        return text[: max(0, most)]
    ends = accumulate(_letters_of_each(text))
    return text[: sum(1 for _ in _up_to(ends, most))]


def _length(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))


def _letters_of_each(text: str) -> Iterator[int]:
    return (1 if letter < "\u0370" else 2 if letter < "\u0800" else LETTERS_PER_TOKEN for letter in text)


def _up_to(ends: Iterator[int], most: int) -> Iterator[int]:
    for end in ends:
        if end > most:
            return
        yield end
