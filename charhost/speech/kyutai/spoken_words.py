"""The words of a response on their way through moshi-server, which takes them one by one."""

import re
from collections import deque
from collections.abc import Iterator

from charhost.speech.clauses import speakable
from charhost.speech.failure import SpeechError
from charhost.speech.kyutai.messages import RATE, Message, number_of
from charhost.speech.speech import Sound, WordTime

_MOST_TIMED = 10_000
_WORD = re.compile(r"\s*\S+\s+")


class SpokenWords:
    """Cuts text into words, and finds the text again whose sound begins in each piece of sound.

    The server tells the time of a word before its sound, which comes later.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._silent = ""  # text that goes with the next word
        self._sent: deque[str] = deque()
        self._timed: deque[tuple[str, WordTime]] = deque()
        self._samples = 0

    def take(self, piece: str, last: bool = False) -> Iterator[str]:
        """Yield the words to be sent, as they are spoken, of the next piece of text."""
        self._rest += piece
        while match := _WORD.match(self._rest):
            self._rest = self._rest[match.end() :]
            yield from self._word(match[0])
        if last and self._rest:
            rest, self._rest = self._rest, ""
            yield from self._word(rest)

    def note(self, message: Message) -> None:
        """Take the time of the next word; one that was never sent has no text. Raises `SpeechError`."""
        text = message.get("text")
        if not isinstance(text, str) or not text:
            return
        if len(self._timed) > _MOST_TIMED:
            raise SpeechError("malformed", "moshi-server sent times of words without their sound.")
        start, end = (round(number_of(message.get(name)) * 1000) for name in ("start_s", "stop_s"))
        self._timed.append((self._sent.popleft() if self._sent else "", WordTime(text, start, end)))

    def sound(self, pcm: bytes) -> Sound:
        """Return the next piece of sound, with the words that begin in it."""
        self._samples += len(pcm) // 2
        until = self._samples * 1000 / RATE
        texts, times = [], []
        while self._timed and self._timed[0][1].start_ms < until:
            text, time = self._timed.popleft()
            texts.append(text)
            times.append(time)
        return Sound(pcm, "".join(texts), tuple(times))

    def end(self) -> Sound:
        """Return the text whose time was never told, without sound."""
        texts = [*(text for text, _ in self._timed), *self._sent, self._silent, self._rest]
        times = tuple(time for _, time in self._timed)
        return Sound(b"", "".join(texts), times)

    def _word(self, text: str) -> Iterator[str]:
        if spoken := speakable(text):
            self._sent.append(self._silent + text)
            self._silent = ""
            yield spoken
        else:
            self._silent += text
