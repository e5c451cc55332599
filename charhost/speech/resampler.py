"""The sound of clients at the rate of engines that hear."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from charhost.speech.hearing import HEARD_RATE

Samples = NDArray[np.int16]

_FORMAT, _LAYOUT = "s16", "mono"
_LEAST, _MOST = -32_768, 32_767
_NOTHING = np.zeros(0, np.int16)


class Resampler:
    """Makes the sound of one stream into that of engines that hear.

    By FFmpeg, which holds 1 or 2 ms of it back: soxr holds up to 20 of sound of 24 kHz, and 60 of 8 kHz.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resampler = av.AudioResampler(format=_FORMAT, layout=_LAYOUT, rate=HEARD_RATE)

    def resample(self, sound: NDArray[Any]) -> Samples:
        """Return the next samples for *sound*, in the scale of 16 bits."""
        if not len(sound):
            return _NOTHING
        samples = sound if sound.dtype == np.int16 else np.clip(sound, _LEAST, _MOST).astype(np.int16)
        frame = av.AudioFrame(_FORMAT, _LAYOUT, len(samples))
        frame.sample_rate = self._rate
        frame.planes[0].update(samples.tobytes())
        made = self._resampler.resample(frame)
        return np.concatenate(
            [_NOTHING, *(np.frombuffer(memoryview(one.planes[0]), np.int16, one.samples) for one in made)]
        )
