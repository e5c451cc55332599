"""The clauses of a response: pieces of text that are spoken one after the other."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

# The first clause is short, because its sound begins when all of it is made; later ones keep the melody of sentences.
_LEAST_FIRST = 12
_MOST_FIRST_WORDS = 8
_LEAST = 25
_MOST = 250

# White space has to follow, so that numbers and addresses stay whole; Chinese and Japanese have none.
_CLOSING = r"[\"'”’)\]»」』）】]*"
_SENTENCE = re.compile(rf"[.!?…]+{_CLOSING}\s+|[。！？]+{_CLOSING}\s*|\n\s*")
_CLAUSE = re.compile(rf"[.!?…,;:—–]+{_CLOSING}\s+|[。！？，、；：]+{_CLOSING}\s*|\s[—–]\s+|\n\s*")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:Mrs?|Ms|Dr|Prof|St|Mme|Mlle|Hr|Fr|Nr|No|vs|etc|bzw|ca|z\. ?B|e\.g|i\.e|[A-Z])\.\s+$"
)
_WORDS = re.compile(rf"\s*(?:\S+\s+){{{_MOST_FIRST_WORDS}}}")

_ADDRESS = re.compile(r"(?:https?://|www\.)([^\s/?#)]+)[^\s)]*")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKUP = re.compile(r"[*_`#~|]+")
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\ufe0f\u200d\u20e3]+")
_PLAIN = str.maketrans("“”„«»‘’", '"""""\'\'')


class Clause(NamedTuple):
    """A part of a response, white space included, and the words in it that are to be spoken, which may be none."""

    text: str
    spoken: str


class ClauseCutter:
    """Cuts pieces of text into clauses; the texts of the clauses together are the whole."""

    def __init__(self) -> None:
        self._rest = ""
        self._is_first = True

    def take(self, piece: str) -> Iterator[Clause]:
        self._rest += piece
        while end := self._end():
            clause, self._rest = self._rest[:end], self._rest[end:]
            self._is_first = self._is_first and not clause.strip()
            yield Clause(clause, speakable(clause))

    def end(self) -> Iterator[Clause]:
        """Yield the last clause, if there is text left."""
        rest, self._rest = self._rest, ""
        if rest:
            yield Clause(rest, speakable(rest))

    def _end(self) -> int:
        """Return where the next clause ends, 0 if that is not known yet."""
        pattern, least = (_CLAUSE, _LEAST_FIRST) if self._is_first else (_SENTENCE, _LEAST)
        text = self._rest[:_MOST]
        for match in pattern.finditer(text):
            if match.end() >= least and not _ABBREVIATION.search(text[: match.end()]):
                return match.end()
        if self._is_first and (words := _WORDS.match(text)):
            return words.end()
        if len(self._rest) <= _MOST:
            return 0
        return max(text.rfind(" "), text.rfind("\n")) + 1 or _MOST


async def clauses(pieces: AsyncIterator[str]) -> AsyncIterator[Clause]:
    """Yield the clauses of a response as its pieces come."""
    cutter = ClauseCutter()
    async for piece in pieces:
        for clause in cutter.take(piece):
            yield clause
    for clause in cutter.end():
        yield clause


def speakable(text: str) -> str:
    """Return the words of *text*: without markup and emoji, of addresses the host only."""
    text = _ADDRESS.sub(r"\1", _LINK.sub(r"\1", text))
    text = _EMOJI.sub("", _MARKUP.sub("", text)).translate(_PLAIN)
    return " ".join(text.split()) if re.search(r"\w", text) else ""
