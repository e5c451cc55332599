"""The engines of this machine, alone: the speech that other rows send, and how long they take for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import soxr

from charhost.settings import Settings
from charhost.speech.configured import engines_of
from charhost.speech.engines import Engines
from charhost.speech.hearing import HEARD_RATE
from charhost.speech.speech import SPOKEN_RATE
from charhost.speech.voices.character_voices import CharacterVoices
from charhost.speech.voices.wish import Wish
from scripts.benchmarks.row import Goal, Rows

_QUESTION = "What is the weather like today?"
_ANSWER = "The old clock in the tower strikes nine every morning in winter."
_LEAST_LOUD = 500


async def add_engine_rows(rows: Rows, runs: int) -> bytes:
    """Return a spoken question, from its first loud sample to its last one."""
    async with _running() as engines:
        for _ in range(runs):
            began, pcm = time.perf_counter(), await spoken(engines, _ANSWER)
            share = (time.perf_counter() - began) / (len(pcm) / 2 / SPOKEN_RATE)
            rows.add("Piper alone, time per second of sound, ms", Goal(500), "charhost", share * 1000)
            began, length = time.perf_counter(), await _heard(engines, pcm)
            rows.add(f"Whisper alone, {length:.1f} s of speech, ms", Goal(1_000), "charhost", _since(began))
        return _trimmed(await spoken(engines, _QUESTION))


async def spoken(engines: Engines, text: str) -> bytes:
    async def once() -> AsyncIterator[str]:
        yield text

    assert engines.speech is not None
    assert isinstance(engines.voices, CharacterVoices)
    [voice] = await engines.voices.map([Wish("", Path(), {}, "en")])
    return b"".join([sound.pcm async for sound in engines.speech.speak(once(), voice)])


async def _heard(engines: Engines, pcm: bytes) -> float:
    """Have sound understood, and return its length in s."""
    assert engines.hearing is not None
    listening = engines.hearing.listen("en", "")
    listening.feed(soxr.resample(np.frombuffer(pcm, "<i2"), SPOKEN_RATE, HEARD_RATE).astype("<i2").tobytes())
    transcript = await listening.transcript(final=True)
    await listening.close()
    return transcript.seconds


@asynccontextmanager
async def _running() -> AsyncIterator[Engines]:
    engines = engines_of(Settings(voice=True))
    for owned in engines.owned:
        owned.start()
    try:
        assert engines.speech is not None
        async with asyncio.timeout(60):
            while await engines.speech.state() != "up":
                await asyncio.sleep(0.1)
        await spoken(engines, _ANSWER)  # the first takes longer
        yield engines
    finally:
        await asyncio.gather(*(owned.close() for owned in engines.owned))


def _trimmed(pcm: bytes) -> bytes:
    samples = np.frombuffer(pcm, "<i2")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _LEAST_LOUD)
    return samples[loud[0] : loud[-1] + 1].tobytes()


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
