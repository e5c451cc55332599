"""Estimate how many tokens a text has, by its script; a model's own usage is more exact, where it is known."""

from collections.abc import Iterator
from itertools import accumulate

LETTERS_PER_TOKEN = 4

# Of Greek, Cyrillic, Hebrew, Arabic and the like two letters make a token; from Devanagari and Thai on, and of Chinese,
# Japanese and Korean, each is one.
_FIRST_HALF, _FIRST_WHOLE = "\u0380", "\u0800"
# The first byte of each of them in UTF-8: counting bytes takes a hundredth of the time of a regular expression.
_HALVES = bytes(range(_FIRST_HALF.encode()[0], _FIRST_WHOLE.encode()[0]))
_WHOLES = bytes(range(_FIRST_WHOLE.encode()[0], 0xF5))
_ASCII = bytes(range(0x80))


def letters(text: str) -> int:
    """Return the number of Latin letters that have about as many tokens as *text*."""
    if text.isascii():
        return len(text)
    data = text.encode("utf-8", "surrogatepass").translate(None, _ASCII)
    return len(text) + _count(_HALVES, data) + (LETTERS_PER_TOKEN - 1) * _count(_WHOLES, data)


def tokens(count: int) -> int:
    """Return the tokens of so many Latin letters, rounded up."""
    return -(-count // LETTERS_PER_TOKEN)


def beginning(text: str, most: int) -> str:
    """Return the longest beginning of *text* with at most so many letters, as `letters` counts them."""
    if text.isascii():
        return text[: max(0, most)]
    ends = accumulate(_letters_of_each(text))
    return text[: sum(1 for _ in _up_to(ends, most))]


def _count(kinds: bytes, data: bytes) -> int:
    return len(data) - len(data.translate(None, kinds))


def _letters_of_each(text: str) -> Iterator[int]:
    return (1 if letter < _FIRST_HALF else 2 if letter < _FIRST_WHOLE else LETTERS_PER_TOKEN for letter in text)


def _up_to(ends: Iterator[int], most: int) -> Iterator[int]:
    for end in ends:
        if end > most:
            return
        yield end
