"""WordSplitter: whole words out of the pieces that a model answers with."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A word ends where a space follows it. Chinese and Japanese have none: there it ends behind a mark, which no space
# follows either, and behind what closes a quotation after it.
_MARKS = "。．！？，、；："
_CLOSING = "」』）】》〉"
_ENDS = re.compile(rf"[\s{_MARKS}{_CLOSING}]")
_WORD = re.compile(rf"\s*\S+?(?=\s|(?<=[{_MARKS}{_CLOSING}])[^\s{_MARKS}{_CLOSING}”’])")


class WordSplitter:
    """Puts pieces together until they are words; each has the space in front of it that the model gave it."""

    def __init__(self) -> None:
        self._rest: list[str] = []
        self._may_end = False

    def take(self, piece: str) -> Iterator[str]:
        """Yield the words of which *piece* shows that they are whole."""
        self._rest.append(piece)
        # A word may be as long as an answer: it is not looked through again for each of its pieces.
        if not self._may_end and not _ENDS.search(piece):
            return
        text, end = "".join(self._rest), 0
        while match := _WORD.match(text, end):
            end = match.end()
            yield match[0]
        self._rest = [text[end:]]
        self._may_end = bool(_ENDS.search(text[-1:]))

    def end(self) -> Iterator[str]:
        """Yield the last word; what comes after it stands apart, also without a space of its own."""
        word = "".join(self._rest).rstrip()
        self._rest = [" "]
        self._may_end = True
        if word:
            yield word
