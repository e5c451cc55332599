"""Settings of speech reach the sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from charhost.settings import Settings
from charhost.speech.speech import Voice
from tests.speech.engines import ScriptedHearing, ScriptedSpeech, scripted_engines, silence, tone
from tests.web.realtime.server import reload, until
from tests.web.realtime.voice_client import TRANSCRIBED, Start, serving, speaking

STARTED = "input_audio_buffer.speech_started"


def with_(settings: Settings, **changes: Any) -> Settings:
    """Return the settings with changes."""
    return settings.model_copy(update=changes)


@pytest.mark.parametrize(("barge_in", "interrupts"), [(0.25, True), (1.5, False)])
async def test_barge_in(aiohttp_client: Start, settings: Settings, barge_in: float, interrupts: bool) -> None:
    """So many seconds of speech interrupt a character that is heard."""
    engines = scripted_engines(ScriptedSpeech(100))
    client, script = await serving(aiohttp_client, with_(settings, barge_in=barge_in), engines)
    script.then("It is late, my friend, and it is cold outside.", script.go)
    async with speaking(client) as caller:
        await caller.say(1_000)
        await caller.until("response.output_audio.delta")
        await caller.append(tone(500) + silence(300))
        await caller.send("input_audio_buffer.clear")
        await caller.until("input_audio_buffer.cleared")
        assert (len([event for event in caller.events if event["type"] == STARTED]) == 2) == interrupts


@pytest.mark.parametrize(("max_turn", "turns"), [(1.0, 3), (60.0, 1)])
async def test_max_turn(aiohttp_client: Start, settings: Settings, max_turn: float, turns: int) -> None:
    """Longer speech without a pause is several turns."""
    hearing = ScriptedHearing()
    client, _ = await serving(aiohttp_client, with_(settings, max_turn=max_turn), scripted_engines(hearing=hearing))
    detection = {"type": "server_vad", "create_response": False}
    async with speaking(client, audio={"input": {"turn_detection": detection}}) as caller:
        await caller.append(tone(3_000) + silence(700))
        for _ in range(turns):
            await caller.until(TRANSCRIBED)
    assert len(hearing.heard) == turns


async def test_the_voices_of_a_new_set_are_loaded_before_it_speaks(aiohttp_client: Start, settings: Settings) -> None:
    """After each load the engine prepares the voices of the characters, beside the first sentence."""
    speech = PreparedSpeech()
    engines = scripted_engines(speech)
    client, _ = await serving(aiohttp_client, settings, engines)
    await until(lambda: speech.prepared)
    assert {voice.name for voice in speech.prepared} == {"Ada"}
    speech.prepared.clear()
    await reload(client)
    await until(lambda: speech.prepared)
    assert not speech.used


class PreparedSpeech(ScriptedSpeech):
    """Keeps which voices it was asked to prepare."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared: list[Voice] = []

    async def prepare(self, voices: Sequence[Voice]) -> None:
        self.prepared += voices


@pytest.mark.parametrize("moment", ["speech", "pause"])
async def test_another_language_in_the_middle_of_a_turn(aiohttp_client: Start, settings: Settings, moment: str) -> None:
    """A language applies from the next turn on: the words of the one under way are not lost."""
    hearing = ScriptedHearing()
    client, _ = await serving(aiohttp_client, settings, scripted_engines(hearing=hearing))
    async with speaking(client) as caller:
        await caller.append(tone(1_000) + silence(350 if moment == "pause" else 0))
        await until(lambda: hearing.guesses if moment == "pause" else hearing.open)
        await caller.update(audio={"input": {"transcription": {"model": "whisper-1", "language": "fr"}}})
        await caller.append(silence(700))
        assert (await caller.until(TRANSCRIBED))["transcript"] == "What time is it?"
        await caller.say(1_000)
        assert (await caller.until(TRANSCRIBED))["transcript"] == "What time is it?"
    assert hearing.hints == [(None, ""), ("fr", "")]
    await until(lambda: not hearing.open)
