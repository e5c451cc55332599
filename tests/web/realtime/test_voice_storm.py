"""Clients and engines that do whatever they like, in both dialects of OpenAI: each session stays in order."""

from __future__ import annotations

import random
from typing import Any

import pytest

from charhost.settings import Settings
from charhost.speech.failure import SpeechError
from charhost.web.keys import BUDGET, SESSIONS
from tests.speech.engines import ScriptedHearing, ScriptedSpeech, scripted_engines, silence, tone
from tests.web.realtime.event_grammar import Dialect
from tests.web.realtime.openai_client import DIALECTS
from tests.web.realtime.server import until
from tests.web.realtime.voice_client import Speaker, Start, serving, speaking

FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
DETECTIONS = (None, {"type": "server_vad", "silence_duration_ms": 0}, {"type": "semantic_vad", "eagerness": "high"})
UNKNOWN = "item_retrieve_invalid_item_id"
FAILURE = SpeechError("malformed", "The engine sent nonsense.")


async def usable(caller: Speaker) -> None:
    """Wait until all that was sent is worked off, and the session answers."""
    await caller.send("conversation.item.retrieve", item_id="none")
    while (event := await caller.next())["type"] != "error" or event["error"]["code"] != UNKNOWN:
        assert event["type"] != "error" or event["error"]["code"] != "internal_error"


def settings_of(dialect: Dialect, encoding: str, detection: object) -> dict[str, Any]:
    if dialect == "beta":
        return {"input_audio_format": FORMATS[encoding], "turn_detection": detection}
    rate = {"rate": 24_000} if encoding == "audio/pcm" else {}
    return {"type": "realtime", "audio": {"input": {"format": {"type": encoding} | rate, "turn_detection": detection}}}


@pytest.mark.slow
@DIALECTS
async def test_a_storm_of_events(aiohttp_client: Start, settings: Settings, dialect: Dialect) -> None:
    """Sound, commits, cancels, cuts and settings in any order end no session, and leave nothing."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(20)))
    chance = random.Random(5)
    async with speaking(client, dialect) as caller:
        for number in range(300):
            known = [e["item"]["id"] for e in caller.events if "item" in e] or ["none"]
            match chance.randrange(9):
                case 0 | 1:
                    await caller.append(tone(chance.choice([10, 50, 600])), step=chance.choice([7, 1_920]))
                case 2:
                    await caller.append(silence(chance.choice([10, 700])))
                case 3:
                    await caller.send(f"input_audio_buffer.{chance.choice(['commit', 'clear'])}")
                case 4:
                    await caller.send(f"response.{chance.choice(['create', 'cancel'])}")
                case 5:
                    cut = {"content_index": chance.choice([0, 5]), "audio_end_ms": chance.choice([-1, 0, 500, 10**12])}
                    await caller.send("conversation.item.truncate", item_id=chance.choice(known), **cut)
                case 6:
                    await caller.send("conversation.item.retrieve", item_id=chance.choice(known))
                case 7:
                    session = settings_of(dialect, chance.choice([*FORMATS]), chance.choice(DETECTIONS))
                    await caller.send("session.update", session=session)
                case 8:
                    await caller.send("input_audio_buffer.append", audio=chance.choice(["A", "", "AA==", "-_-_", "Ā"]))
            if number % 20 == 19:
                await usable(caller)
    await until(lambda: not len(client.app[SESSIONS]))
    await until(lambda: not any(client.app[BUDGET].held[kind] for kind in ("audio", "requests", "outboxes")))


@DIALECTS
async def test_engines_that_fail(aiohttp_client: Start, settings: Settings, dialect: Dialect) -> None:
    """Ears that fail cost one turn, a voice that fails costs the sound; the next turn has both."""
    engines = scripted_engines(ScriptedSpeech(faults=[FAILURE]), ScriptedHearing(faults=[FAILURE]))
    client, _ = await serving(aiohttp_client, settings, engines)
    async with speaking(client, dialect) as caller:
        await caller.say(1_000)
        failed = await caller.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["code"] == "transcription_failed"
        await caller.say(1_000)
        done = (await caller.until("response.done"))["response"]
        assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "speech_failed")
        assert done["output"][0]["content"][0]["transcript"] == "Yes."
        await caller.say(1_000)
        assert (await caller.until("response.done"))["response"]["status"] == "completed"


@DIALECTS
@pytest.mark.parametrize("step", [37, 1 << 20])
async def test_sound_in_odd_pieces(aiohttp_client: Start, settings: Settings, dialect: Dialect, step: int) -> None:
    """Half samples, and a turn in one event, are heard as any other sound."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client, dialect) as caller:
        await caller.append(tone(1_000) + silence(700), step)
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
    assert [m["content"] for m in script.messages if m["role"] == "user"] == ["What time is it?"]


@DIALECTS
async def test_an_event_that_is_too_large(aiohttp_client: Start, settings: Settings, dialect: Dialect) -> None:
    """More than 15 MiB in an event is refused, as much as that is taken, and the session goes on."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client, dialect) as caller:
        audio = "AAAA" * ((15 << 20) // 3 + 2)
        assert (await caller.error("input_audio_buffer.append", audio=audio))["code"] == "invalid_value"
        await caller.send("input_audio_buffer.append", audio=audio[: 20 << 20])
        await caller.ask("input_audio_buffer.clear")
        await caller.say(1_000)
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
