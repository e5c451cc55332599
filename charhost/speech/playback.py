"""The playback of an item that is spoken, at its client."""

from __future__ import annotations

import re
from itertools import pairwise

from charhost.speech.speech import SPOKEN_RATE, Sound

_BYTES_PER_MS = SPOKEN_RATE * 2 // 1000
_WORD = re.compile(r"\s*\S+")
# Of speech about whose speed nothing is known yet.
_MS_PER_CHARACTER = 65.0


class Playback:
    """Follows the sound of one item: how much of it was sent, and by the time how much of that was heard.

    A client plays its sound without a break, after the sound before it, which ends at *begins*, and waits where there
    is nothing. Times are in seconds of any clock.
    """

    def __init__(self, begins: float = 0.0) -> None:
        self.whole = ""  # the text of the item as far as it is known
        self.sent_bytes = 0
        self.ends_at = begins  # the time at which all that was sent will have been heard
        self._starts: list[tuple[float, str]] = []  # of each text: its ms in the sound
        self.cut_ms: float | None = None
        self.is_unfinished = False  # whether the sound of the last text goes on beyond what was sent

    @property
    def sent_ms(self) -> int:
        return self.sent_bytes // _BYTES_PER_MS

    @property
    def sent(self) -> str:
        """The text whose sound was sent."""
        return "".join(text for _, text in self._starts)

    def add_text(self, sound: Sound) -> None:
        """Take note that the sound of a text begins here; words with times of their own are places by themselves."""
        position, rest = self.sent_bytes / _BYTES_PER_MS, sound.text
        if not rest:
            return
        for word in sound.times:
            end = rest.find(word.text) + len(word.text)
            if end >= len(word.text):
                self._starts.append((max(position, word.start_ms), rest[:end]))
                rest = rest[end:]
        if rest or not sound.times:
            self._starts.append((position, rest))

    def send(self, size: int, now: float) -> None:
        """Take note that *size* bytes are sent."""
        self.sent_bytes += size
        self.ends_at = max(self.ends_at, now) + size / _BYTES_PER_MS / 1000

    def unsend(self, size: int) -> None:
        """Take note that the last *size* bytes were not sent."""
        self.sent_bytes -= size
        self.ends_at -= size / _BYTES_PER_MS / 1000
        while self._starts and self._starts[-1][0] >= self.sent_ms:
            self._starts.pop()

    def ahead(self, now: float) -> float:
        """Return the seconds of sound that the client has not heard yet."""
        return max(0.0, self.ends_at - now)

    def heard_ms(self, now: float) -> int:
        return max(0, self.sent_ms - round(self.ahead(now) * 1000))

    def cut(self, milliseconds: float, now: float) -> None:
        """Take note that no more was heard, and that nothing plays any more; a later cut replaces an earlier one."""
        self.cut_ms = milliseconds
        self.ends_at = min(self.ends_at, now)

    @property
    def remembered(self) -> str:
        """The text as far as it was heard."""
        return self.whole if self.cut_ms is None else self.heard(self.cut_ms)

    @property
    def unheard(self) -> str:
        return self.whole[len(self.remembered) :]

    def heard(self, milliseconds: float) -> str:
        """Return the text in the first *milliseconds* of the sound, up to the end of a word.

        The places of words without times are taken as proportional to their letters.
        """
        places = [*self._starts, (self._end_ms, "")]
        heard = ""
        for (start, text), (end, _) in pairwise(places):
            if milliseconds >= end:
                heard += text
            elif milliseconds > start:
                return heard + _begun(text, (milliseconds - start) / (end - start))
            else:
                break
        return heard

    @property
    def _end_ms(self) -> float:
        """Where the sound of the last text ends, or would end, as far as the speed of those before it shows."""
        if not (self.is_unfinished and self._starts):
            return self.sent_ms
        start, text = self._starts[-1]
        before = sum(len(text) for _, text in self._starts[:-1])
        return max(self.sent_ms, start + len(text) * (start / before if start and before else _MS_PER_CHARACTER))


def _begun(text: str, share: float) -> str:
    """Return the words of *text* that end within a share of it."""
    places = [0, *(match.end() for match in _WORD.finditer(text))]
    end = 0
    for _, place in pairwise(places):
        if place <= len(text.rstrip()) * share:
            end = place
    return text[:end]
