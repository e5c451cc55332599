"""The words of a model's response."""

import re
from collections.abc import Iterator

# A word ends where a space follows it. Chinese and Japanese have none: there it ends behind a mark, which no space
# follows either, and behind what closes a quotation after it.
_MARKS = "。．！？，、；："
_CLOSING = "」』）】》〉"
_ENDS = re.compile(rf"[\s{_MARKS}{_CLOSING}]")
_WORD = re.compile(rf"\s*\S+?(?=\s|(?<=[{_MARKS}{_CLOSING}])[^\s{_MARKS}{_CLOSING}”’])")


class WordSplitter:
    """Joins pieces into words; each word keeps the space before it."""

    def __init__(self) -> None:
        self._rest: list[str] = []
        self._may_end = False

    def take(self, piece: str) -> Iterator[str]:
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
        """Yield the last word; a space separates it from the next."""
        word = "".join(self._rest).rstrip()
        self._rest = [" "]
        self._may_end = True
        if word:
            yield word
