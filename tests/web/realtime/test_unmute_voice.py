"""Unmute's dialect with sound: clients that send and take Ogg/Opus as unmute's load test and its page do."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sphn
import websockets
from websockets.asyncio.client import ClientConnection

from charhost.character.character import Character
from charhost.conversation.items import Message
from charhost.settings import Settings
from charhost.speech.engines import Engines
from charhost.speech.failure import SpeechError
from charhost.speech.speech import Voice
from charhost.web.keys import BUDGET, EARS, SESSIONS
from charhost.web.realtime import unmute_talk
from tests.conftest import Client
from tests.speech.engines import (
    ScriptedHearing,
    ScriptedSpeech,
    ScriptedVoices,
    loud_ms,
    scripted_engines,
    silence,
    tone,
)
from tests.web.realtime.openai_client import Script
from tests.web.realtime.server import until
from tests.web.realtime.unmute_events import TABLE
from tests.web.realtime.voice_client import Start, serving

LIMIT = 60.0
RATE = 24_000
FRAME = 960  # samples of 40 ms: two frames of 20 ms in a page
READY = "unmute.response.text.delta.ready"
TRANSCRIPTION = "conversation.item.input_audio_transcription.delta"


class Microphone:
    """What unmute's page sends: a page of Ogg/Opus every 40 ms."""

    def __init__(self, ws: ClientConnection) -> None:
        self._ws = ws
        self._stream = sphn.OpusStreamWriter(RATE)

    async def send(self, sound: bytes) -> None:
        """Send sound faster than real time."""
        samples = np.frombuffer(sound, "<i2").astype(np.float32) / 32_768
        for at in range(0, len(samples) - FRAME + 1, FRAME):
            await self.page(self._stream.append_pcm(samples[at : at + FRAME]))

    async def page(self, page: bytes) -> None:
        event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(page).decode()}
        await self._ws.send(json.dumps(event))


class Talk:
    """One connection: each event it receives must be in the closed table, and its sound in one stream."""

    def __init__(self, ws: ClientConnection) -> None:
        self.microphone = Microphone(ws)
        self.events: list[Any] = []
        self._ws = ws
        self._stream = sphn.OpusStreamReader(RATE)
        self.sound = b""

    async def begin(self) -> None:
        """Send the settings as the load test does, and the first audio."""
        session = {"instructions": None, "voice": None, "allow_recording": False}
        await self._ws.send(json.dumps({"type": "session.update", "session": session}))
        assert (await self.next()).type == "session.updated"
        await self.microphone.send(silence(80))

    async def next(self) -> Any:
        """Return the next event."""
        async with asyncio.timeout(LIMIT):
            frame = await self._ws.recv()
        assert isinstance(frame, str)
        event = TABLE.validate_json(frame)
        if event.type == "response.audio.delta":
            pcm = np.clip(self._stream.append_bytes(base64.b64decode(event.delta)), -1, 1)
            self.sound += (pcm * 32_767).astype("<i2").tobytes()
        self.events.append(event)
        return event

    async def until(self, kind: str) -> list[Any]:
        """Return the events up to the next one of a type."""
        events = [await self.next()]
        while events[-1].type != kind:
            assert events[-1].type != "error" or kind == "error", events[-1]
            events.append(await self.next())
        return events


@asynccontextmanager
async def talking(client: Client) -> AsyncIterator[Talk]:
    """A client that connects as unmute's do."""
    url = str(client.make_url("/v1/realtime")).replace("http", "ws", 1)
    async with websockets.connect(url, subprotocols=[websockets.Subprotocol("realtime")], proxy=None) as ws:
        talk = Talk(ws)
        await talk.begin()
        yield talk


async def started(start: Start, settings: Settings, engines: Engines) -> tuple[Client, Script]:
    """Return a client of a server whose character greets briefly."""
    client, script = await serving(start, settings, engines)
    script.then("Hello, my friend.")
    return client, script


async def test_the_load_test_has_a_spoken_conversation(aiohttp_client: Start, settings: Settings) -> None:
    """The greeting and the answer to a turn have their events in unmute's order, and their sound in one stream."""
    client, script = await started(aiohttp_client, settings, scripted_engines(ScriptedSpeech(30)))
    async with talking(client) as talk:
        greeting = await talk.until("response.audio.done")
        first = {event.type: index for index, event in reversed(list(enumerate(greeting)))}
        assert first["response.created"] < first[READY] < first["response.audio.delta"]
        assert [event.type for event in greeting[-3:]] == [
            "response.text.done",
            "unmute.additional_outputs",
            "response.audio.done",
        ]
        assert [event.delta for event in greeting if event.type == READY] == ["Hello,", " my", " friend."]
        assert [event.delta for event in greeting if event.type == "response.text.delta"] == ["Hello,", "my", "friend."]
        assert loud_ms(talk.sound, RATE) == pytest.approx(len("Hello, my friend.") * 30, abs=100)
        await talk.microphone.send(tone(1_000) + silence(800))
        answer = await talk.until("response.audio.done")
    kinds = [event.type for event in answer]
    heard = [TRANSCRIPTION, "input_audio_buffer.speech_started", *[TRANSCRIPTION] * 3]
    begun = ["input_audio_buffer.speech_stopped", "unmute.additional_outputs", "response.created"]
    assert kinds[: len(heard) + 3] == [*heard, *begun]
    assert [event.delta for event in answer if event.type == TRANSCRIPTION] == ["What", "time", "is", "it?"]
    known = [event.args.chat_history for event in answer if event.type == "unmute.additional_outputs"]
    said = ["Hello, my friend.", "What time is it?", "Yes."]
    assert [[message.content for message in history] for history in known] == [said[:2], said]
    assert [m["content"] for m in script.messages if m["role"] == "user"][-1] == "What time is it?"


async def test_barge_in(aiohttp_client: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Speech cuts the answer, which has no end then; the model remembers what was heard, and the stream goes on."""
    monkeypatch.setattr(unmute_talk, "_UNINTERRUPTED", 0.0)
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(100)))
    script.then(text := "It is late, my friend, and it is cold, so that I would like to go home now.")
    async with talking(client) as talk:
        await talk.until("response.audio.delta")
        await talk.microphone.send(tone(500) + silence(800))
        cut = await talk.until("unmute.interrupted_by_vad")
        assert "response.audio.done" not in {event.type for event in cut}
        answer = await talk.until("response.audio.done")
        assert "response.created" in {event.type for event in answer}
    heard = [m["content"] for m in script.messages if m["role"] == "assistant"]
    assert all(text.startswith(words) and words != text for words in heard)


async def test_the_first_seconds_are_not_interrupted(aiohttp_client: Start, settings: Settings) -> None:
    """While the echo cancellation of the client learns, an answer follows the greeting instead of cutting it."""
    client, _ = await started(aiohttp_client, settings, scripted_engines(ScriptedSpeech(50)))
    async with talking(client) as talk:
        await talk.until("response.audio.delta")
        await talk.microphone.send(tone(500) + silence(800))
        await talk.until("response.audio.done")
        await talk.until("response.audio.done")
    assert "unmute.interrupted_by_vad" not in {event.type for event in talk.events}


async def test_a_turn_while_the_greeting_waits_for_its_voice(aiohttp_client: Start, settings: Settings) -> None:
    """However long it takes to find the voice of the greeting, the answer to a turn meanwhile begins after its end."""
    engines = replace(scripted_engines(), voices=(voices := SlowVoices()))
    client, _ = await started(aiohttp_client, settings, engines)
    async with talking(client) as talk:
        await talk.microphone.send(tone(500) + silence(800))
        (session,) = client.app[SESSIONS]._live.values()
        history = session.conversation.history
        await until(lambda: any(isinstance(item, Message) and item.role == "user" for item in history))
        voices.are_found.set()
        await talk.until("response.audio.done")
        await talk.until("response.audio.done")
    kinds = [event.type for event in talk.events if event.type in ("response.created", "response.audio.done")]
    assert kinds == ["response.created", "response.audio.done"] * 2


class SlowVoices(ScriptedVoices):
    """Voices that are found after a while."""

    def __init__(self) -> None:
        self.are_found = asyncio.Event()

    async def of(self, character: Character) -> Voice:
        await self.are_found.wait()
        return await super().of(character)


async def test_silence_is_broken(aiohttp_client: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The character speaks again after some seconds of silence, but not for ever to a client that was left alone."""
    monkeypatch.setattr(unmute_talk, "SILENCE", 0.05)
    client, script = await started(aiohttp_client, settings, scripted_engines(ScriptedSpeech(5)))
    async with talking(client) as talk:
        for _ in range(4):
            await talk.until("response.audio.done")
        await asyncio.sleep(0.5)
    assert [m["content"] for m in script.messages if m["role"] == "user"][-3:] == ["..."] * 3
    assert len(script.requests) == 4


async def test_pages_of_an_earlier_connection(aiohttp_client: Start, settings: Settings) -> None:
    """What comes before the beginning of a stream, and what is no Ogg at all, is left out."""
    client, _ = await started(aiohttp_client, settings, scripted_engines(ScriptedSpeech(5)))
    async with talking(client) as talk:
        await talk.until("response.audio.done")
        for page in (b"OggS\0\0" + bytes(40), b"nothing", bytes(5_000)):
            await talk.microphone.page(page)
        talk.microphone = Microphone(talk._ws)
        await talk.microphone.send(tone(1_000) + silence(800))
        await talk.until("response.audio.done")
    assert "What" in [event.delta for event in talk.events if event.type == TRANSCRIPTION]


@pytest.mark.parametrize("engine", ["voice", "ears"])
async def test_one_engine_fails(aiohttp_client: Start, settings: Settings, engine: str) -> None:
    """Without sound the words go on, with an error; a turn that is not understood is one, too; the next is heard."""
    broken = SpeechError("unreachable", "It is away.")
    engines = scripted_engines(
        ScriptedSpeech(5, faults=[broken] if engine == "voice" else ()),
        ScriptedHearing(faults=[broken] if engine == "ears" else ()),
    )
    client, _ = await started(aiohttp_client, settings, engines)
    async with talking(client) as talk:
        if engine == "voice":
            greeting = await talk.until("error")
            assert [event.delta for event in greeting if event.type == "response.text.delta"]
        else:
            await talk.until("response.audio.done")
            await talk.microphone.send(tone(1_000) + silence(800))
            await talk.until("error")
        assert talk.events[-1].error.details == ("speech_failed" if engine == "voice" else "transcription_failed")
        await talk.microphone.send(tone(1_000) + silence(800))
        await talk.until("response.audio.done")


async def test_ears_without_a_voice(aiohttp_client: Start, settings: Settings) -> None:
    """A server that only hears answers in text."""
    engines = Engines(hearing=ScriptedHearing(), detector=scripted_engines().detector)
    client, _ = await started(aiohttp_client, settings, engines)
    async with talking(client) as talk:
        await talk.until("unmute.additional_outputs")
        await talk.microphone.send(tone(1_000) + silence(800))
        await talk.until("unmute.additional_outputs")
    assert "response.audio.delta" not in {event.type for event in talk.events}


async def test_a_client_that_leaves(aiohttp_client: Start, settings: Settings) -> None:
    """A client that leaves in the middle of its speech leaves no ear, no audio and no session behind."""
    client, _ = await started(aiohttp_client, settings, scripted_engines())
    async with talking(client) as talk:
        await talk.until("response.audio.done")
        await talk.microphone.send(tone(1_000))
    await until(lambda: not len(client.app[SESSIONS]))
    ears = client.app[EARS]
    assert ears is not None
    assert (len(ears), client.app[BUDGET].held["audio"]) == (0, 0)


@pytest.mark.parametrize("dialect", ["ga", "unmute"])
async def test_a_session_with_engines_is_freed(aiohttp_client: Start, settings: Settings, dialect: str) -> None:
    """A session that hears and speaks forms no reference cycle, either."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    gc.disable()
    try:
        async with client.ws_connect("/v1/realtime", params={"dialect": dialect}) as ws:
            await ws.send_json({"type": "session.update", "session": {"voice": "Ada", "allow_recording": False}})
            while (await ws.receive_json(timeout=LIMIT))["type"] not in ("session.updated", "error"):
                pass
            (session,) = (weakref.ref(session) for session in client.app[SESSIONS]._live.values())
        await until(lambda: session() is None)
    finally:
        gc.enable()
