"""Silero's model, shared by all sessions."""

from __future__ import annotations

import numpy as np
from faster_whisper.vad import get_vad_model

from charhost.speech.turns import FRAME
from charhost.speech.vad import SileroDetector


def test_steps_and_sessions_do_not_matter() -> None:
    """The probabilities are those that faster-whisper finds in the whole sound, in whatever steps it comes."""
    random = np.random.default_rng(1)
    loudness = np.abs(np.sin(np.arange(40 * FRAME) / 3_000))
    sound = (random.normal(0, 3_000, 40 * FRAME) * loudness).astype(np.int16).reshape(-1, FRAME)
    detector, found, state, other = SileroDetector(), [], None, None
    for at in range(0, 40, 4):
        probabilities, state = detector.detect(sound[at : at + 4], state)
        _, other = detector.detect(sound[::-1][at : at + 2], other)
        found += probabilities
    whole = np.ravel(get_vad_model()(sound.ravel().astype(np.float32) / 32_768))
    assert np.abs(np.array(found) - whole)[:-1].max() < 1e-4  # of the last frame faster-whisper zeroes the end
