"""Words: whole words out of the pieces that a model answers with."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A word ends where a space follows it. Chinese and Japanese have none: there it ends behind a mark, which no space
# follows either, and behind what closes a quotation after it.
_MARKS = "。．！？，、；："
_WORD = re.compile(rf"\s*\S+?(?=\s|(?<=[{_MARKS}」』）】》〉])[^\s{_MARKS}」』）】》〉”’])")


class Words:
    """Puts pieces together until they are words; each has the space in front of it that the model gave it."""

    def __init__(self) -> None:
        self._rest = ""

    def take(self, piece: str) -> Iterator[str]:
        """Yield the words of which *piece* shows that they are whole."""
        self._rest += piece
        end = 0
        for match in _WORD.finditer(self._rest):
            end = match.end()
            yield match[0]
        self._rest = self._rest[end:]

    def end(self) -> Iterator[str]:
        """Yield the last word; what comes after it stands apart, also without a space of its own."""
        word = self._rest.rstrip()
        self._rest = " "
        if word:
            yield word
