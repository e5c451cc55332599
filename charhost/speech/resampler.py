"""The sound of clients at the rate of engines that hear."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charhost.speech.hearing import HEARD_RATE

Samples = NDArray[np.int16]

# Twice as dense, sound of 8 and of 24 kHz has whole numbers of samples for each one of 16 kHz.
_DENSER = 2
# Coefficients, so many that what is folded back is 80 dB below the sound, and the share of the band that is kept.
_TAPS = 128
_BETA = 8.0
_BAND = 0.93
# Samples that are made together, 2 ms of them, and blocks at a time: of more BLAS would use all cores.
_BLOCK = 32
_MOST_BLOCKS = 64


class Resampler:
    """Makes the sound of one stream into that of engines that hear, with a delay of a few ms.

    soxr holds 20 ms of sound of 24 kHz back, and 60 of 8 kHz; FFmpeg takes 600 KiB of memory for each stream.
    """

    def __init__(self, rate: int) -> None:
        self._step, self._bank = rate * _BLOCK // HEARD_RATE, _bank(rate)
        self._rest = np.zeros(_TAPS // _DENSER - 1, np.float32)

    def resample(self, sound: NDArray[Any]) -> Samples:
        """Return the next samples for *sound*, in the scale of 16 bits."""
        sound = np.concatenate((self._rest, sound), dtype=np.float32)
        width, size = len(self._bank), sound.itemsize
        blocks = max(0, (len(sound) - width) // self._step + 1)
        windows = np.ndarray((blocks, width), np.float32, sound, strides=(self._step * size, size))
        self._rest = sound[blocks * self._step :].copy()
        if not sound.any():
            return np.zeros(blocks * _BLOCK, np.int16)
        made = [windows[at : at + _MOST_BLOCKS].copy() @ self._bank for at in range(0, max(1, blocks), _MOST_BLOCKS)]
        return np.clip(np.concatenate(made), -32_768, 32_767).astype(np.int16).ravel()


@cache
def _bank(rate: int) -> NDArray[np.float32]:
    """Return the weights of the samples in a window for each of the samples of a block.

    They are those of a low-pass at the double rate (a sinc in a Kaiser window), where every other sample is 0.
    """
    cut = _BAND * min(rate, HEARD_RATE) / (rate * _DENSER)
    places = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = _DENSER * cut * np.sinc(cut * places) * np.kaiser(_TAPS, _BETA)
    step, reach = rate * _DENSER // HEARD_RATE, _TAPS // _DENSER
    bank = np.zeros((reach + (_BLOCK - 1) * step // _DENSER, _BLOCK), np.float32)
    for index in range(_BLOCK):
        first, phase = divmod(index * step, _DENSER)
        bank[first : first + reach, index] = taps[phase::_DENSER][::-1]
    return bank
