"""Faults of engines and of clients that speak: each is felt by one session, and costs no more than it has to."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import numpy as np
import pytest

from charhost.conversation import spoken_turn
from charhost.conversation.spoken_turn import SpokenTurn
from charhost.settings import Settings
from charhost.speech.failure import SpeechError
from charhost.speech.speech import Sound, Voice
from charhost.web.keys import BUDGET, SESSIONS
from charhost.web.realtime import microphone, transcriber
from tests.speech.engines import ScriptedHearing, ScriptedSpeech, scripted_engines, silence, tone
from tests.web.realtime.server import until
from tests.web.realtime.voice_client import AUDIO, TRANSCRIBED, Start, serving, speaking

FAILED = TRANSCRIBED.replace("completed", "failed")


class BrokenSpeech(ScriptedSpeech):
    """Raises what no engine may raise, once."""

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Sound, None]:
        if not self.used:
            self.used.append(voice)
            raise RuntimeError("broken")
        async for sound in super().speak(text, voice):
            yield sound


@pytest.mark.parametrize("after", [0, 2])
async def test_a_voice_that_stalls(
    aiohttp_client: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """A voice that makes no sound for too long is given up; the words go on."""
    monkeypatch.setattr(spoken_turn, "_FIRST_SOUND", 0.2)
    monkeypatch.setattr(spoken_turn, "_NEXT_SOUND", 0.2)
    speech = ScriptedSpeech(faults=[asyncio.Event()], after=after)
    client, script = await serving(aiohttp_client, settings, scripted_engines(speech))
    script.then("This is a sentence that takes a while.")
    async with speaking(client, **AUDIO) as caller:
        done = await caller.respond()
        assert done["status_details"]["error"]["code"] == "speech_failed"
        assert caller.spoken() == "This is a sentence that takes a while."
        assert (await caller.respond())["status"] == "completed"


async def test_a_slow_model_is_no_stall_of_the_voice(
    aiohttp_client: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A voice that waits for the words of the model has no deadline."""
    monkeypatch.setattr(spoken_turn, "_FIRST_SOUND", 0.05)
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    script.then(script.go, "Yes.")
    async with speaking(client, **AUDIO) as caller:
        await caller.send("response.create")
        await asyncio.wait_for(script.pausing.wait(), 30)
        await asyncio.sleep(0.3)
        script.go.set()
        assert (await caller.until("response.done"))["response"]["status"] == "completed"


async def test_a_model_that_floods_waits_for_the_voice(
    aiohttp_client: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not spoken yet is bounded: the model is read on when the voice has taken some of it."""
    monkeypatch.setattr(spoken_turn, "_MOST_UNSPOKEN", 10)
    gate = asyncio.Event()
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(faults=[gate])))
    script.then(*["Yes. "] * 40, script.go, "No.")
    async with speaking(client, **AUDIO) as caller:
        await caller.send("response.create")
        session = next(iter(client.app[SESSIONS]._live.values()))
        await until(lambda: any(isinstance(one, SpokenTurn) and one._queue.full() for one in session.work.turns))
        assert not script.pausing.is_set()
        gate.set()
        await asyncio.wait_for(script.pausing.wait(), 30)
        script.go.set()
        assert (await caller.until("response.done"))["response"]["status"] == "completed"


async def test_a_fault_in_the_voice_ends_one_session(aiohttp_client: Start, settings: Settings) -> None:
    """What is no failure of an engine but a fault closes the session with 1011, and no other."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines(BrokenSpeech()))
    async with speaking(client, **AUDIO) as other:
        async with speaking(client, **AUDIO) as caller:
            await caller.send("response.create")
            assert await caller.end() == 1011
        assert (await other.respond())["status"] == "completed"


async def test_ears_that_stall(aiohttp_client: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transcript that takes too long fails, and the next turn is heard."""
    monkeypatch.setattr(transcriber, "_DEADLINE", 0.2)
    hearing = ScriptedHearing(faults=[asyncio.Event()])
    client, _ = await serving(aiohttp_client, settings, scripted_engines(hearing=hearing))
    async with speaking(client) as caller:
        await caller.say(1_000)
        assert (await caller.until(FAILED))["error"]["code"] == "transcription_failed"
        await caller.say(1_000)
        await caller.until("response.done")


async def test_sound_counts_until_its_words_are_known(aiohttp_client: Start, settings: Settings) -> None:
    """A turn that is committed is held by the engine, and is part of the budget as long as that takes."""
    gate = asyncio.Event()
    client, _ = await serving(aiohttp_client, settings, scripted_engines(hearing=ScriptedHearing(faults=[gate])))
    async with speaking(client) as caller:
        await caller.say(1_000)
        await caller.until("input_audio_buffer.committed")
        await caller.ask("input_audio_buffer.clear")
        assert client.app[BUDGET].held["audio"] >= 1_000 * transcriber.BYTES_PER_MS
        gate.set()
        await caller.until("response.done")
        assert client.app[BUDGET].held["audio"] == 0


async def test_items_of_sound_are_bounded(
    aiohttp_client: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound in items is counted, and refused beyond what may wait for its words; afterwards there is room again."""
    monkeypatch.setattr(microphone, "_MOST_AHEAD_MS", 3_000)
    gate = asyncio.Event()
    client, _ = await serving(aiohttp_client, settings, scripted_engines(hearing=ScriptedHearing(faults=[gate])))
    part = {"type": "input_audio", "audio": base64.b64encode(tone(2_000)).decode()}
    item = {"type": "message", "role": "user", "content": [part]}
    async with speaking(client) as caller:
        await caller.ask("conversation.item.create", item=item)
        assert client.app[BUDGET].held["audio"] >= 2_000 * (48 + transcriber.BYTES_PER_MS)
        assert (await caller.error("conversation.item.create", item=item))["code"] == "rate_limit_exceeded"
        gate.set()
        await caller.until(TRANSCRIBED)
        await until(lambda: client.app[BUDGET].held["audio"] == 0)
        await caller.ask("conversation.item.create", item=item)


async def test_an_hour_of_silence(aiohttp_client: Start, settings: Settings) -> None:
    """Silence and noise are no turns, and leave nothing in memory."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    noise = np.random.default_rng(1).normal(0, 60, 24_000 * 5).astype("<i2").tobytes()
    async with speaking(client) as caller:
        for sound in (silence(30_000), noise):
            await caller.append(sound, step=1 << 18)
        await caller.ask("input_audio_buffer.clear")
        assert {event["type"] for event in caller.events} == {"session.created", "input_audio_buffer.cleared"}
        assert client.app[BUDGET].held["audio"] == 0
    assert script.requests == []


@pytest.mark.parametrize("audio", ["A", "%%%%", "AAA=A", base64.b64encode(b"x").decode()[:-1]])
async def test_nonsense_for_audio(aiohttp_client: Start, settings: Settings, audio: str) -> None:
    """What is no base64 is refused, and the session goes on."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client) as caller:
        assert (await caller.error("input_audio_buffer.append", audio=audio))["code"] == "invalid_value"
        await caller.say(1_000)
        await caller.until("response.done")


async def test_another_is_heard_during_a_flood(aiohttp_client: Start, settings: Settings) -> None:
    """While a client sends a file at once another one has its turn answered."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client) as flood, speaking(client) as caller:
        await flood.append(silence(180_000), step=1 << 20)
        await caller.say(1_000)
        await caller.until("response.done")


async def test_a_client_that_does_not_read(aiohttp_client: Start, settings: Settings) -> None:
    """The sound for a client that does not read waits in the engine, not in the server; others are answered."""
    speech = ScriptedSpeech(1_000)
    client, script = await serving(aiohttp_client, settings, scripted_engines(speech))
    script.then("This sentence takes about a minute to be spoken by a slow voice.")
    async with speaking(client, **AUDIO) as stuck:
        await stuck.send("response.create")
        await stuck.until("response.output_audio.delta")
        session = next(iter(client.app[SESSIONS]._live.values()))
        await until(lambda: session.work.turns)
        async with speaking(client, **AUDIO) as other:
            script.then("Yes.")
            assert (await other.respond())["status"] == "completed"
        assert client.app[BUDGET].held["outboxes"] < 4 << 20


@pytest.mark.parametrize("moment", ["transcribing", "thinking"])
async def test_barge_in_before_the_first_sound(aiohttp_client: Start, settings: Settings, moment: str) -> None:
    """Who goes on speaking before the answer has begun is answered once, with all that was said."""
    gate = asyncio.Event()
    hearing = ScriptedHearing(faults=[gate if moment == "transcribing" else None])
    client, script = await serving(aiohttp_client, settings, scripted_engines(hearing=hearing))
    script.then(script.go, "Late.") if moment == "thinking" else None
    async with speaking(client) as caller:
        await caller.say(1_000)
        await caller.until("input_audio_buffer.committed")
        if moment == "thinking":
            await caller.until("response.created")
        await caller.append(tone(500))
        await caller.until("input_audio_buffer.speech_started")
        gate.set()
        await caller.append(silence(800))
        done = (await caller.until("response.done"))["response"]
        if moment == "thinking":
            assert done["status_details"]["reason"] == "turn_detected"
            done = (await caller.until("response.done"))["response"]
        assert done["status"] == "completed"
    said = [m["content"] for m in script.messages if m["role"] == "user"]
    assert said == ["What time is it?", "Yes."]


async def test_failing_ears_give_the_answer_back(aiohttp_client: Start, settings: Settings) -> None:
    """An interruption that could not be understood does not eat the answer."""
    hearing = ScriptedHearing(faults=[None, SpeechError("busy", "Too many.")])
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(50), hearing))
    script.then("It is late, my friend, and cold. ", script.go)
    async with speaking(client) as caller:
        await caller.say(1_000)
        await caller.until("response.output_audio.delta")
        await caller.say(500)
        await caller.until(FAILED)
        assert (await caller.until("response.done"))["response"]["status"] == "completed"


async def test_many_interruptions_leave_nothing(aiohttp_client: Start, settings: Settings) -> None:
    """Twenty interrupted answers leave no task, no audio and no sound behind."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(100)))
    for _ in range(20):
        script.then("It is late, my friend, and cold. ", script.go)
    async with speaking(client) as caller:
        await caller.say(1_000)
        for round_ in range(20):
            await caller.until("response.output_audio.delta")
            await caller.say(1_000)
            done = (await caller.until("response.done"))["response"]
            assert done["status_details"]["reason"] == "turn_detected"
            if round_ == 1:
                tasks = len(asyncio.all_tasks())
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        session = next(iter(client.app[SESSIONS]._live.values()))
        await until(lambda: not session.work.turns)
        assert client.app[BUDGET].held["audio"] == 0
        assert client.app[BUDGET].held["requests"] == 0
    assert len(script.requests) == 21


def settings_of(session: Any) -> Any:
    """Return the detection of a session."""
    return session["audio"]["input"]["turn_detection"]


async def test_detection_turned_off_in_the_middle(aiohttp_client: Start, settings: Settings) -> None:
    """Speech that is open when the detection is turned off waits for the commit."""
    hearing = ScriptedHearing()
    client, _ = await serving(aiohttp_client, settings, scripted_engines(hearing=hearing))
    async with speaking(client) as caller:
        await caller.append(tone(500))
        started = await caller.until("input_audio_buffer.speech_started")
        assert settings_of(await caller.update(audio={"input": {"turn_detection": None}})) is None
        await caller.append(tone(500) + silence(2_000))
        await caller.send("input_audio_buffer.commit")
        completed = await caller.until(TRANSCRIBED)
        assert (completed["item_id"], completed["transcript"]) == (started["item_id"], "What time is it?")


async def test_detection_turned_on_again(aiohttp_client: Start, settings: Settings) -> None:
    """A turn that is open goes on when the detection is turned off and on: it begins once, and ends by itself."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client) as caller:
        await caller.append(tone(500))
        started = await caller.until("input_audio_buffer.speech_started")
        await caller.update(audio={"input": {"turn_detection": None}})
        await caller.update(audio={"input": {"turn_detection": {"type": "server_vad"}}})
        await caller.append(tone(500) + silence(700))
        completed = await caller.until(TRANSCRIBED)
        assert (completed["item_id"], completed["transcript"]) == (started["item_id"], "What time is it?")
