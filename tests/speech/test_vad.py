"""Silero's model, shared by all sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_whisper.vad import get_vad_model

from charhost.speech.turns import FRAME
from charhost.speech.vad import SileroDetector


def test_each_session_is_heard_by_itself() -> None:
    """The probabilities are those that faster-whisper finds in the whole sound, whatever other sessions have."""
    random = np.random.default_rng(1)
    loudness = np.abs(np.sin(np.arange(40 * FRAME) / 3_000))
    sound = (random.normal(0, 3_000, 40 * FRAME) * loudness).astype(np.int16).reshape(-1, FRAME)
    detector, found = SileroDetector(), []
    states: Sequence[Any] = [None] * 3
    for at in range(40):
        frames = sound[[at, 39 - at, at // 2]]
        probabilities, states = detector.detect(frames, states)
        found.append(probabilities[0])
    whole = np.ravel(get_vad_model()(sound.ravel().astype(np.float32) / 32_768))
    assert np.abs(np.array(found) - whole)[:-1].max() < 1e-4  # of the last frame faster-whisper zeroes the end
