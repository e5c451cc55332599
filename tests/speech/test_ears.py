"""The ears of all sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from charhost.speech.ears import Ear, Ears, Heard
from charhost.speech.turns import FRAME_MS
from charhost.speech.vad import Frames
from tests.speech.engines import LoudDetector, silence, tone

LIMIT = 180.0
# A tone of 750 Hz, of almost full loudness.
LOUD = np.tile([30_000] * 16 + [-30_000] * 16, 375).astype("<i2").tobytes()


class FaultyDetector(LoudDetector):
    """Fails where there is very loud sound among that of all sessions; notes for how many it is asked at once."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def detect(self, frames: Frames, states: Sequence[Any]) -> tuple[list[float], Sequence[Any]]:
        self.asked.append(len(frames))
        if frames.max() > 20_000:
            raise RuntimeError("The model is broken.")
        return super().detect(frames, states)


@pytest.fixture
def detector() -> FaultyDetector:
    return FaultyDetector()


@pytest.fixture
async def ears(detector: FaultyDetector) -> AsyncIterator[Ears]:
    """Ears that work."""
    ears = Ears(detector)
    async with aclosing(ears.run()) as running:
        await anext(running)
        yield ears
        await anext(running, None)


async def frames_of(ears: Ears, ear: Ear) -> list[Heard]:
    """Return the frames that a session has heard when all its audio is worked off."""
    frames: list[Heard] = []
    async with asyncio.timeout(LIMIT):
        reaching = asyncio.create_task(ears.reach(ear, "audio/pcm"))
        while not reaching.done():
            for heard in await ear.heard.get():
                if isinstance(heard, asyncio.Future):
                    heard.set_result(None)
                    await reaching
                else:
                    frames.append(heard)
    return frames


def speech_ms(frames: list[Heard]) -> float:
    """Return how long there is speech in frames."""
    return sum(FRAME_MS for one in frames if one.probability > 0.5)


async def test_a_frame_of_each_session_is_one_question(ears: Ears, detector: FaultyDetector) -> None:
    """However many sessions there are, the model is asked for all of them at once."""
    sessions = [ears.open() for _ in range(20)]
    for ear in sessions:
        ears.put(ear, "audio/pcm", tone(500))
    found = await asyncio.gather(*(frames_of(ears, ear) for ear in sessions))
    assert all(speech_ms(frames) == pytest.approx(500, abs=64) for frames in found)
    assert max(detector.asked) == 20
    assert len(detector.asked) < 60


async def test_a_fault_is_felt_by_one_session(ears: Ears) -> None:
    """Sound at which the detector fails is no speech; that of the other sessions is heard, also in the same step."""
    first, second = ears.open(), ears.open()
    ears.put(first, "audio/pcm", LOUD)
    ears.put(second, "audio/pcm", tone(500))
    found = await asyncio.gather(*(frames_of(ears, ear) for ear in (first, second)))
    assert speech_ms(found[0]) <= 64  # of its end, which is less loud
    assert speech_ms(found[1]) == pytest.approx(500, abs=64)
    ears.put(first, "audio/pcm", tone(500))
    assert speech_ms(await frames_of(ears, first)) == pytest.approx(500, abs=64)


async def test_sound_that_cannot_be_decoded(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the decoder of one session costs that piece of its sound, and nothing of the others'."""
    first, second = ears.open(), ears.open()
    monkeypatch.setattr(first, "_frames", lambda encoding, pieces: 1 / 0)
    for ear in (first, second):
        ears.put(ear, "audio/pcm", tone(500))
    found = await asyncio.gather(*(frames_of(ears, ear) for ear in (first, second)))
    assert [speech_ms(frames) for frames in found] == [0, pytest.approx(500, abs=64)]


async def test_a_step_that_fails(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step for which there is no memory costs the sound in it: clients that wait for it go on, and are heard."""

    def fail(steps: object) -> None:
        raise MemoryError

    ear = ears.open()
    with monkeypatch.context() as patch:
        patch.setattr(ears, "_step", fail)
        ears.put(ear, "audio/pcm", tone(500))
        assert speech_ms(await frames_of(ears, ear)) == 0
    ears.put(ear, "audio/pcm", tone(500))
    assert speech_ms(await frames_of(ears, ear)) == pytest.approx(500, abs=64)


async def test_a_flood_is_worked_off_in_turns(ears: Ears) -> None:
    """A client that sends much at once is heard a second at a time, and others in between."""
    flood, other = ears.open(), ears.open()
    ears.put(flood, "audio/pcm", silence(20_000))
    ears.put(other, "audio/pcm", silence(100))
    async with asyncio.timeout(LIMIT):
        assert len(await other.heard.get()) in (2, 3)
        assert flood.waiting_bytes > 15 * 48_000
        heard = 0
        while heard < 20_000 // 32 - 2:
            heard += len(await flood.heard.get())
    assert flood.waiting_bytes == 0


async def test_digital_silence_costs_no_detector(ears: Ears, detector: FaultyDetector) -> None:
    """The model is not asked about frames without sound, nor where turns are ended by hand."""
    quiet, manual = ears.open(), ears.open()
    manual.finds_speech = False
    ears.put(quiet, "audio/pcm", silence(500))
    ears.put(manual, "audio/pcm", tone(500))
    assert len([*await frames_of(ears, quiet), *await frames_of(ears, manual)]) > 30
    assert detector.asked == []
