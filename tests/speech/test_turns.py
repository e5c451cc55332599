"""Turns of speech in scripted probabilities."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charhost.speech.turns import TurnDetector, TurnSettings, TurnSign

STARTED, PAUSED, RESUMED, STOPPED = TurnSign

SPEECH, SILENCE = 0.9, 0.1
DEFAULTS = TurnSettings()


def signs(
    probabilities: Iterable[float], settings: TurnSettings = DEFAULTS, is_audible: bool = False
) -> list[tuple[int, TurnSign]]:
    """Return the signs with the number of the frame, from 1, that each comes with."""
    detector = TurnDetector()
    found = ((number, detector.step(p, settings, is_audible)) for number, p in enumerate(probabilities, 1))
    return [(number, sign) for number, sign in found if sign is not None]


def test_one_turn() -> None:
    """Speech begins with the third of four frames, and is over after half a second of silence."""
    assert signs([SILENCE] * 5 + [SPEECH] * 20 + [SILENCE] * 30) == [(8, STARTED), (32, PAUSED), (40, STOPPED)]


@pytest.mark.parametrize(("silence_ms", "frames"), [(0, 1), (100, 3), (320, 10), (500, 15), (520, 16)])
def test_silence_is_as_long_as_wanted(silence_ms: int, frames: int) -> None:
    """With half of the frame in which the speech ends, the silence is as long as it should be, to half a frame."""
    found = signs([SPEECH] * 5 + [SILENCE] * 30, TurnSettings(silence_ms=silence_ms))
    assert found[-1] == (5 + frames, STOPPED)
    assert RESUMED not in {sign for _, sign in found}


def test_pause_within_a_sentence() -> None:
    """A pause that is shorter than the silence ends nothing, and takes the guess back."""
    course = [SPEECH] * 10 + [SILENCE] * 12 + [SPEECH] * 10 + [SILENCE] * 30
    assert signs(course) == [(3, STARTED), (17, PAUSED), (23, RESUMED), (39, PAUSED), (47, STOPPED)]


@pytest.mark.parametrize(("frames", "interrupts"), [(3, False), (7, False), (8, True)])
def test_barge_in_takes_longer(frames: int, interrupts: bool) -> None:
    """While the character is audible a quarter of a second of speech is needed."""
    assert bool(signs([SILENCE] * 9 + [SPEECH] * frames + [SILENCE] * 3, is_audible=True)) == interrupts


def test_clicks_are_no_speech() -> None:
    """Two frames of four are not enough."""
    assert signs([SPEECH, SPEECH, SILENCE, SILENCE] * 10) == []


def test_hysteresis() -> None:
    """A turn goes on while the probability is little below the threshold."""
    assert [sign for _, sign in signs([SPEECH] * 5 + [0.36] * 50)] == [STARTED]


def test_longest_turn() -> None:
    """A turn without a pause is over at its limit, and the next one begins."""
    found = signs([SPEECH] * 80, TurnSettings(longest=1.0))
    assert found == [(3, STARTED), (35, STOPPED), (38, STARTED), (70, STOPPED), (73, STARTED)]


@given(st.lists(st.sampled_from((SPEECH, SILENCE, 0.4)), max_size=200), st.booleans())
def test_any_course_keeps_the_order(course: list[float], is_audible: bool) -> None:
    """Turns begin and end in turn, and a guess is taken back only after it was made."""
    allowed = {
        None: {STARTED},
        STARTED: {PAUSED, STOPPED},
        PAUSED: {RESUMED, STOPPED},
        RESUMED: {PAUSED, STOPPED},
        STOPPED: {STARTED},
    }
    before = None
    for _, sign in signs(course, is_audible=is_audible):
        assert sign in allowed[before]
        before = sign
