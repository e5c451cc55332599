"""Unmodified clients that speak, with scripted engines: the SDK and the agents of OpenAI for Python."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents.realtime import RealtimeAgent, RealtimeModelConfig, RealtimeRunner, RealtimeSession
from openai import AsyncOpenAI

from charhost.settings import Settings
from tests.conftest import Client
from tests.speech.engines import ScriptedSpeech, loud_ms, scripted_engines, silence, tone
from tests.web.realtime.openai_client import LIMIT
from tests.web.realtime.voice_client import Start, serving

TEXT = "It is late, my friend, and it is cold, so that I would like to go home now."


@asynccontextmanager
async def agent(client: Client) -> AsyncIterator[RealtimeSession]:
    """A realtime agent with the settings that it has by itself."""
    url = str(client.make_url("/v1/realtime?model=Ada")).replace("http", "ws", 1)
    config: RealtimeModelConfig = {"url": url, "api_key": "x", "initial_model_settings": {"tracing": None}}
    runner = RealtimeRunner(RealtimeAgent(name="Test", instructions="Be brief."), config={"tracing_disabled": True})
    async with await runner.run(model_config=config) as session:
        yield session


async def say(session: RealtimeSession, milliseconds: int, quiet: int = 3_000) -> None:
    """Speak, and be silent for longer than the detection of an agent waits."""
    sound = tone(milliseconds) + silence(quiet)
    for at in range(0, len(sound), 4_800):
        await session.send_audio(sound[at : at + 4_800])


async def until(session: RealtimeSession, *kinds: str) -> list[Any]:
    """Return the events up to these, in order; raise for one that the agent could not read."""
    events: list[Any] = []
    waiting = list(kinds)
    async with asyncio.timeout(LIMIT):
        async for event in session:
            assert event.type != "error", event
            events.append(event)
            if event.type == waiting[0]:
                waiting.pop(0)
            if not waiting:
                break
    return events


def transcripts(session: RealtimeSession, role: str) -> list[str | None]:
    """Return the transcripts that the agent keeps."""
    items: list[Any] = [item for item in session._history if item.type == "message" and item.role == role]
    return [part.transcript for item in items for part in item.content if part.type in ("audio", "input_audio")]


async def test_an_agent_asks_and_interrupts(aiohttp_client: Start, settings: Settings) -> None:
    """An agent asks by voice, hears the answer, and interrupts it: both sides keep the words that were heard."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(100)))
    script.then(TEXT, script.go)
    async with agent(client) as session:
        await say(session, 1_000)
        events = await until(session, "audio")
        assert loud_ms(events[-1].audio.data, 24_000) > 50
        await say(session, 500)
        await until(session, "audio_interrupted", "agent_end", "agent_end")
        async with asyncio.timeout(LIMIT):
            while transcripts(session, "assistant")[-1:] != ["Yes."]:
                await asyncio.sleep(0.05)
        assert transcripts(session, "user") == ["What time is it?", "Yes."]
        first = transcripts(session, "assistant")[0]
    sent = "".join(m["content"] for m in script.messages if m["role"] == "assistant")
    for heard in (first or "", sent):  # the agent's own cut may come after the request
        assert TEXT.startswith(heard)
        assert heard != TEXT


@pytest.mark.parametrize("dialect", ["ga", "beta"])
async def test_the_sdk_asks_by_hand(aiohttp_client: Start, settings: Settings, dialect: str) -> None:
    """The SDK commits a turn, and reads the answer's words and sound."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    base = str(client.make_url("/v1"))
    session: Any = {"type": "realtime", "output_modalities": ["audio"], "audio": {"input": {"turn_detection": None}}}
    if dialect == "beta":
        session = {"modalities": ["text", "audio"], "turn_detection": None}
    async with AsyncOpenAI(base_url=base, websocket_base_url=base.replace("http", "ws", 1), api_key="x") as sdk:
        realtime: Any = sdk.realtime if dialect == "ga" else sdk.beta.realtime
        async with realtime.connect(model="Ada") as connection, asyncio.timeout(LIMIT):
            await connection.session.update(session=session)
            await connection.input_audio_buffer.append(audio=base64.b64encode(tone(1_000)).decode())
            await connection.input_audio_buffer.commit()
            await connection.response.create()
            events = []
            async for event in connection:
                events.append(event)
                if event.type == "response.done":
                    break
    by_kind = {event.type: event for event in events}
    assert "error" not in by_kind
    assert by_kind["conversation.item.input_audio_transcription.completed"].transcript == "What time is it?"
    spoken = "response.output_audio" if dialect == "ga" else "response.audio"
    assert by_kind[f"{spoken}_transcript.done"].transcript == "Yes."
    assert loud_ms(base64.b64decode(by_kind[f"{spoken}.delta"].delta), 24_000) > 30
