"""The ears of all sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from charhost.speech.ears import Ear, Ears
from charhost.speech.vad import Frames
from tests.speech.engines import LoudDetector, silence, tone

LIMIT = 180.0


class FaultyDetector(LoudDetector):
    """Fails for the first session that it is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def detect(self, frames: Frames, state: Any) -> tuple[list[float], Any]:
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError("The model is broken.")
        return super().detect(frames, state)


@pytest.fixture
async def ears() -> AsyncIterator[Ears]:
    """Ears that work."""
    ears = Ears(FaultyDetector())
    async with aclosing(ears.run()) as running:
        await anext(running)
        yield ears
        await anext(running, None)


async def frames_of(ears: Ears, ear: Ear) -> int:
    """Return how many frames a session has heard when all its audio is worked off."""
    async with asyncio.timeout(LIMIT):
        reaching, count = asyncio.create_task(ears.reach(ear, "audio/pcm")), 0
        while not reaching.done():
            for heard in await ear.heard.get():
                if isinstance(heard, asyncio.Future):
                    heard.set_result(None)
                    await reaching
                else:
                    count += 1
        return count


async def test_a_fault_is_felt_by_one_session(ears: Ears) -> None:
    """A detector that fails at the sound of one session costs that piece of its sound, and nothing of the others'."""
    first, second = ears.open(), ears.open()
    ears.put(first, "audio/pcm", tone(500))
    assert await frames_of(ears, first) <= 2  # of the silence behind it
    ears.put(second, "audio/pcm", tone(500))
    assert await frames_of(ears, second) in (16, 17)
    ears.put(first, "audio/pcm", tone(500))
    assert await frames_of(ears, first) in (16, 17, 18)


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


async def test_digital_silence_costs_no_detector() -> None:
    """The model is not asked about frames without sound, nor where turns are ended by hand."""
    detector = FaultyDetector()
    ears = Ears(detector)
    async with aclosing(ears.run()) as running:
        await anext(running)
        quiet, manual = ears.open(), ears.open()
        manual.finds_speech = False
        ears.put(quiet, "audio/pcm", silence(500))
        ears.put(manual, "audio/pcm", tone(500))
        assert await frames_of(ears, quiet) + await frames_of(ears, manual) > 30
        await anext(running, None)
    assert detector.asked == 0
