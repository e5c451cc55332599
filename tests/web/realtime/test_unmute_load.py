"""Unmute's dialect with clients that behave as unmute's load test does."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from charhost.settings import Settings
from tests.speech.engines import ScriptedSpeech, scripted_engines, tone
from tests.web.realtime.load_test_client import LoadTest, Timed
from tests.web.realtime.voice_client import Start, serving

LIMIT = 180.0
GREETING = "Hello, my friend."


async def test_conversations_of_the_load_test(aiohttp_client: Start, settings: Settings) -> None:
    """Workers that ask by voice in real time, without a pause in their sound, have all their turns, each in order."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(20)))
    script.then(GREETING).then(GREETING)
    question = np.frombuffer(tone(1_000), "<i2").astype(np.float32) / np.float32(32_768)
    async with asyncio.timeout(LIMIT):
        reports = await asyncio.gather(*(LoadTest(question).run(client) for _ in range(2)))
    for report in reports:
        said = [(message.role, message.content) for message in report]
        turn = [("user", "What time is it?"), ("assistant", "Yes.")]
        assert said == [("assistant", GREETING), *turn * 3]
        for message in report:
            check(message)


def check(message: Timed) -> None:
    """Check what the load test insists on, and that the sound was whole."""
    times = message.times
    if message.role == "user":
        assert times["audio_start"] < min(times["text_start"], times["audio_end"])
    else:
        assert times["response_created"] < times["audio_start"] < times["audio_end"]
        # 80 ms of silence flush the decoder, and a page is whole.
        assert message.heard == pytest.approx(len(message.content) * 0.02, abs=0.2)
