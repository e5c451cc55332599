"""The sound of clients at the rate of engines that hear."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from charhost.speech.hearing import HEARD_RATE
from charhost.speech.resampler import Resampler, Samples

RATES = pytest.mark.parametrize("rate", [8_000, 24_000])


def wave(rate: int, hertz: float) -> NDArray[np.float64]:
    """Return a second of a tone."""
    return 20_000 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)


def spectrum(samples: Samples) -> NDArray[np.float64]:
    """Return the loudness at each Hz, in dB below the tone, of the second that the samples are without their ends."""
    middle = samples[500:-500].astype(float)
    found = np.abs(np.fft.rfft(middle * np.blackman(len(middle)), HEARD_RATE)) / (20_000 / 2 * 0.42 * len(middle))
    return np.asarray(20 * np.log10(found + 1e-12))


@RATES
def test_speech_keeps_its_tones(rate: int) -> None:
    """Tones that a voice is of keep their height and their loudness, and nothing is beside them."""
    for hertz in (200, 1_000, 3_300):
        loudness = spectrum(Resampler(rate).resample(wave(rate, hertz)))
        assert loudness.argmax() == pytest.approx(hertz, abs=1)
        assert loudness.max() == pytest.approx(0, abs=0.1)
        beside = np.abs(np.arange(len(loudness)) - hertz) > 50
        assert loudness[beside].max() < -75


def test_tones_that_are_too_high_are_left_out() -> None:
    """What 16 kHz have no room for is not heard as something else."""
    for hertz in (9_000, 11_000):
        assert spectrum(Resampler(24_000).resample(wave(24_000, hertz))).max() < -75


@RATES
def test_pieces_are_as_good_as_the_whole(rate: int) -> None:
    """Sound in pieces of any length is the same, but for the rounding of a sample."""
    sound = np.random.default_rng(1).normal(0, 8_000, rate)
    places = [0, 0, 1, 5, 100, 333, 4_000, 4_001, rate]
    resampler, whole = Resampler(rate), Resampler(rate).resample(sound).astype(int)
    parts = np.concatenate([resampler.resample(sound[start:end]) for start, end in pairwise(places)])
    assert len(parts) == len(whole) == pytest.approx(HEARD_RATE, abs=80)
    assert np.abs(parts - whole).max() <= 1


def test_sound_that_is_too_loud_is_cut() -> None:
    """A full-scale edge does not wrap around."""
    edge = np.repeat([-32_768, 32_767], 1_000)
    made = Resampler(24_000).resample(edge)
    assert (made.min(), made.max()) == (-32_768, 32_767)
    assert (made[100:650] < -20_000).all()
    assert (made[690:] > 20_000).all()
