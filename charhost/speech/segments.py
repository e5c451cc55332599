"""Long sound in pieces that an engine hears at once."""

from typing import NamedTuple

import numpy as np

from charhost.speech.hearing import HEARD_RATE

_LONGEST = 25 * HEARD_RATE
_SHORTEST = 15 * HEARD_RATE
_STEP = HEARD_RATE // 50


class Segment(NamedTuple):
    """A piece of sound, and where it is, in s."""

    pcm: bytes
    start: float
    end: float


class Segmenter:
    """Cuts a stream of sound where it is quietest."""

    def __init__(self) -> None:
        self._rest = np.empty(0, np.int16)
        self._taken = 0

    def take(self, pcm: bytes, last: bool = False) -> list[Segment]:
        self._rest = np.concatenate((self._rest, np.frombuffer(pcm, "<i2")))
        segments = []
        while len(self._rest) > _LONGEST:
            segments.append(self._cut(_quietest(self._rest)))
        if last and len(self._rest):
            segments.append(self._cut(len(self._rest)))
        return segments

    def _cut(self, length: int) -> Segment:
        pcm, self._rest = self._rest[:length].tobytes(), self._rest[length:]
        start, self._taken = self._taken, self._taken + length
        return Segment(pcm, start / HEARD_RATE, self._taken / HEARD_RATE)


def _quietest(samples: np.typing.NDArray[np.int16]) -> int:
    """Return the middle of the quietest fifth of a second in which a segment may end."""
    steps = samples[_SHORTEST:_LONGEST].reshape(-1, _STEP).astype(np.float32)
    loudness = np.convolve((steps**2).mean(axis=1), np.ones(10), mode="valid")
    return _SHORTEST + (int(loudness.argmin()) + 5) * _STEP
