"""Engines that return nonsense, clients that send what is no speech, and interruptions at each stage of a turn."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import numpy as np
import pytest

from charhost.settings import Settings
from charhost.speech.engines import Engines
from charhost.speech.failure import SpeechError
from charhost.speech.speech import Sound, Voice
from charhost.web.keys import BUDGET, METRICS
from tests.reload.helpers import Write
from tests.speech.engines import ScriptedHearing, ScriptedSpeech, ScriptedVoices, scripted_engines, silence, tone
from tests.tagged import edit
from tests.web.realtime.server import reload
from tests.web.realtime.voice_client import AUDIO, TRANSCRIBED, Start, serving, speaking

STARTED = "input_audio_buffer.speech_started"
OUT_OF_MEMORY = SpeechError("busy", "The engine has no memory left.")


class Nonsense(ScriptedSpeech):
    """Speaks half samples, nothing, and more text than it was given."""

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Sound, None]:
        words = "".join([piece async for piece in text])
        yield Sound(b"", "")
        yield Sound(tone(100) + b"\x01", words)
        yield Sound(b"\x02", "")
        yield Sound(tone(100), "")


@pytest.mark.parametrize("encoding", ["audio/pcm", "audio/pcmu"])
async def test_nonsense_of_a_voice(aiohttp_client: Start, settings: Settings, encoding: str) -> None:
    """Half samples of an engine cost nothing but themselves."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines(Nonsense()))
    async with speaking(client, **AUDIO, audio={"output": {"format": _format(encoding)}}) as caller:
        assert (await caller.respond())["status"] == "completed"
        assert caller.spoken() == "Yes."
        assert len(caller.sound()) == pytest.approx(200 * (48 if encoding == "audio/pcm" else 8), abs=20)
        assert (await caller.respond())["status"] == "completed"


def _format(encoding: str) -> dict[str, Any]:
    return {"type": encoding, "rate": 24_000} if encoding == "audio/pcm" else {"type": encoding}


async def test_nonsense_of_ears(aiohttp_client: Start, settings: Settings) -> None:
    """A transcript is any text: it reaches the model and the client as it is."""
    words = "\0\u202e" + "la " * 5_000
    hearing = ScriptedHearing({1_000: words})
    client, script = await serving(aiohttp_client, settings, scripted_engines(hearing=hearing))
    async with speaking(client) as caller:
        await caller.say(1_000)
        assert (await caller.until(TRANSCRIBED))["transcript"] == words
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
    assert script.requests


@pytest.mark.parametrize("engine", ["voice", "ears"])
async def test_engine_out_of_memory(aiohttp_client: Start, settings: Settings, engine: str) -> None:
    """The session goes on without this answer, the failure is counted by its kind, and the next turn is good."""
    engines = scripted_engines(
        ScriptedSpeech(faults=[OUT_OF_MEMORY] if engine == "voice" else ()),
        ScriptedHearing(faults=[OUT_OF_MEMORY] if engine == "ears" else ()),
    )
    client, _ = await serving(aiohttp_client, settings, engines)
    async with speaking(client) as caller:
        await caller.say(1_000)
        await caller.until("response.done" if engine == "voice" else TRANSCRIBED.replace("completed", "failed"))
        await caller.say(1_000)
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
    labels = {"engine": "speech" if engine == "voice" else "hearing", "error_type": "busy"}
    assert client.app[METRICS].registry.get_sample_value("charhost_speech_errors_total", labels) == 1


async def test_another_rate_within_a_session(aiohttp_client: Start, settings: Settings) -> None:
    """A rate that is not spoken here is refused, and changes nothing; another format is heard from then on."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client) as caller:
        await caller.say(1_000)
        await caller.until("response.done")
        session = {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}}
        error = await caller.error("session.update", session=session)
        assert (error["code"], error["param"]) == ("invalid_value", "session.audio.input.format.rate")
        await caller.say(1_000)
        assert (await caller.until(TRANSCRIBED))["transcript"] == "What time is it?"
        await caller.until("response.done")


async def test_music_and_noise_are_no_turns(aiohttp_client: Start, settings: Settings) -> None:
    """Tones, chords, clicks and noise are no speech to the detector: nothing is committed, and nothing answered."""
    engines = Engines(ScriptedSpeech(), ScriptedVoices(), ScriptedHearing())
    client, script = await serving(aiohttp_client, settings, engines)
    time = np.arange(24_000 * 4) / 24_000
    chord = np.sum([np.sign(np.sin(2 * np.pi * hertz * time)) for hertz in (262, 330, 392)], axis=0) * 2_000
    clicks = np.where(np.arange(len(time)) % 6_000 < 20, 20_000, 0)
    noise = np.random.default_rng(1).normal(0, 1_000, len(time))
    async with speaking(client) as caller:
        for sound in (chord, clicks, noise):
            await caller.append(sound.astype("<i2").tobytes(), step=1 << 16)
        await caller.ask("input_audio_buffer.clear")
        assert STARTED not in {event["type"] for event in caller.events}
    assert script.requests == []


@pytest.mark.slow
async def test_an_hour_of_silence(aiohttp_client: Start, settings: Settings) -> None:
    """An hour of silence is no turn, costs nothing, and the speech after it is heard."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    minute = base64.b64encode(b"\xff" * 8_000 * 60).decode()
    async with speaking(client, audio={"input": {"format": {"type": "audio/pcmu"}}}) as caller:
        for _ in range(60):
            await caller.send("input_audio_buffer.append", audio=minute)
            await caller.ask("input_audio_buffer.clear")
        assert STARTED not in {event["type"] for event in caller.events}
        assert client.app[BUDGET].held["audio"] == 0
        await caller.update(audio={"input": {"format": {"type": "audio/pcm", "rate": 24_000}}})
        await caller.say(1_000)
        started = await caller.until(STARTED)
        assert started["audio_start_ms"] == pytest.approx(3_600_000, rel=0.01)
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
    assert len(script.requests) == 1


@pytest.mark.parametrize("moment", ["transcribing", "thinking", "speaking", "between clauses", "playing"])
async def test_barge_in_at_each_stage(aiohttp_client: Start, settings: Settings, moment: str) -> None:
    """Whenever the client speaks again, one answer to all that it said is the last, and no sound of another is left."""
    gate = asyncio.Event()
    hearing = ScriptedHearing(faults=[gate if moment == "transcribing" else None])
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(50), hearing))
    first: dict[str, list[Any]] = {
        "thinking": [script.go],
        "between clauses": ["It is late, my friend. ", script.go, "And cold."],
    }
    if moment != "transcribing":
        script.then(*first.get(moment, ["It is late, my friend, and it is cold outside."]))
    reached = {
        "transcribing": "input_audio_buffer.committed",
        "thinking": "response.created",
        "playing": "response.done",
    }
    async with speaking(client) as caller:
        await caller.say(1_000)
        await caller.until(reached.get(moment, "response.output_audio.delta"))
        await caller.append(tone(500))
        await caller.until(STARTED)
        gate.set()
        await caller.append(silence(800))
        last = await caller.until("response.done")
        while last["response"]["status"] != "completed":
            last = await caller.until("response.done")
        assert last["response"]["output"][0]["content"][0]["transcript"] == "Yes."
    said = [m["content"] for m in script.messages if m["role"] == "user"]
    assert said == ["What time is it?", "Yes."]


@pytest.mark.parametrize("milliseconds", [0, 400, 99_999])
async def test_truncation_while_the_answer_is_spoken(
    aiohttp_client: Start, settings: Settings, milliseconds: int
) -> None:
    """A cut before, in and after the sound sent so far is taken, and the answer is heard to there."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(100)))
    script.then("One two three four. ", script.go)
    async with speaking(client, **AUDIO) as caller:
        await caller.add("Count.")
        await caller.send("response.create")
        item_id = (await caller.until("response.output_audio.delta"))["item_id"]
        await caller.send("response.cancel")
        fields = {"item_id": item_id, "content_index": 0, "audio_end_ms": milliseconds}
        await caller.send("conversation.item.truncate", **fields)
        await caller.until("conversation.item.truncated")
        heard = (await caller.item(item_id))["content"][0]["transcript"]
    assert {0: heard == "", 400: heard == "One", 99_999: "One two three four. ".startswith(heard)}[milliseconds]


@pytest.mark.parametrize("moment", ["speech", "answer"])
async def test_keep_goes_on_with_the_old_version(
    aiohttp_client: Start, settings: Settings, write: Write, moment: str
) -> None:
    """A reload that keeps sessions changes nothing in the middle of speech: the old version hears and answers."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(speech := ScriptedSpeech(5)))
    script.then("One moment, please. ", script.go, "Now.") if moment == "answer" else None
    async with speaking(client) as caller:
        await caller.append(tone(1_000))
        await caller.until(STARTED)
        if moment == "answer":
            await caller.append(silence(700))
            await caller.until("response.output_audio.delta")
        edit(write, "two")
        await reload(client, sessions="keep")
        script.go.set()
        await caller.append(silence(700))
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
        assert "session.updated" not in {event["type"] for event in caller.events}
    assert "two" not in str(script.messages[0]["content"])
    assert len(speech.used) == 1
