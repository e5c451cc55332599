"""Clients that speak, over real sockets, with scripted engines: faster than real time."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from charhost.settings import Settings
from charhost.speech.failure import SpeechError
from charhost.speech.formats import Encoder
from charhost.web.keys import BUDGET, EARS, METRICS, SESSIONS
from tests.conftest import Client
from tests.speech.engines import ScriptedHearing, ScriptedSpeech, scripted_engines, silence, tone
from tests.web.realtime.event_grammar import Dialect
from tests.web.realtime.openai_client import DIALECTS, spelled
from tests.web.realtime.server import until
from tests.web.realtime.voice_client import SPOKEN, TRANSCRIBED, Start, serving, speaking

HEARD = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    TRANSCRIBED,
]
COMMITTED = HEARD[2:]
BY_HAND: dict[str, Any] = {"audio": {"input": {"turn_detection": None}}}


@DIALECTS
async def test_a_turn_that_the_server_finds(aiohttp_client: Start, settings: Settings, dialect: Dialect) -> None:
    """Speech and the silence after it are a turn: its words are understood, and answered with sound."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client, dialect) as caller:
        await caller.append(silence(1_000))
        await caller.say(1_000)
        await caller.until("response.done")
        kinds = caller.since("input_audio_buffer.speech_started")
        started, stopped = (next(e for e in caller.events if e["type"] == kind) for kind in HEARD[:2])
        completed = next(e for e in caller.events if e["type"] == TRANSCRIBED)
    spoken = [kind if dialect == "ga" else kind.replace("output_audio", "audio") for kind in spelled(SPOKEN, dialect)]
    assert kinds == [*spelled(HEARD, dialect), "response.created", *spoken, "response.done"]
    assert started["audio_start_ms"] == pytest.approx(700, abs=100)
    assert stopped["audio_end_ms"] == pytest.approx(2_500, abs=64)
    assert completed["transcript"] == "What time is it?"
    assert [m["content"] for m in script.messages if m["role"] == "user"] == ["What time is it?"]


async def test_the_session_says_how_turns_are_found(aiohttp_client: Start, settings: Settings) -> None:
    """A client reads every effective value of the detection, and of its output once it has spoken."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client) as caller:
        session = caller.events[0]["session"]
        common = {"create_response": True, "interrupt_response": True}
        server = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
        assert session["audio"]["input"]["turn_detection"] == server | common
        await caller.append(silence(100))
        session = await caller.update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
        assert session["audio"]["input"]["turn_detection"] == {"type": "semantic_vad", "eagerness": "auto"} | common
        assert session["output_modalities"] == ["audio"]
        session = await caller.update(audio={"input": {"turn_detection": None}})
        assert session["audio"]["input"]["turn_detection"] is None


@DIALECTS
async def test_a_turn_by_hand(aiohttp_client: Start, settings: Settings, dialect: Dialect) -> None:
    """A response to a committed turn is created at once, and begins when the words are understood."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client, dialect, **(BY_HAND if dialect == "ga" else {"turn_detection": None})) as caller:
        await caller.append(tone(1_000))
        await caller.send("input_audio_buffer.commit")
        await caller.send("response.create")
        await caller.until("response.done")
        kinds = caller.since("input_audio_buffer.committed")
    assert kinds[: len(COMMITTED) - 1] == spelled(COMMITTED, dialect)[: len(COMMITTED) - 1] or dialect == "beta"
    assert set(kinds) >= {TRANSCRIBED, "response.created"}
    assert [m["content"] for m in script.messages if m["role"] == "user"] == ["What time is it?"]


async def test_commit_alone_answers_nothing(aiohttp_client: Start, settings: Settings) -> None:
    """By hand only the client asks for responses; too short a turn is refused."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client, **BY_HAND) as caller:
        await caller.append(tone(60))
        error = await caller.error("input_audio_buffer.commit")
        assert error["code"] == "input_audio_buffer_commit_empty"
        assert "60.00ms" in error["message"]
        await caller.append(tone(250))
        await caller.send("input_audio_buffer.commit")
        assert (await caller.until(TRANSCRIBED))["transcript"] == "Yes."
        await caller.append(tone(1_000))
        await caller.ask("input_audio_buffer.clear")
        assert (await caller.error("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
    assert script.requests == []


async def test_half_samples(aiohttp_client: Start, settings: Settings) -> None:
    """An odd byte waits for its other half in the next event."""
    hearing = ScriptedHearing()
    client, _ = await serving(aiohttp_client, settings, scripted_engines(hearing=hearing))
    async with speaking(client, **BY_HAND) as caller:
        await caller.append(tone(1_000), step=961)
        await caller.send("input_audio_buffer.commit")
        assert (await caller.until(TRANSCRIBED))["transcript"] == "What time is it?"


async def test_no_response_unless_wanted(aiohttp_client: Start, settings: Settings) -> None:
    """With `create_response` false a turn is found and understood, and the client asks for the response."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    detection = {"type": "server_vad", "create_response": False}
    async with speaking(client, audio={"input": {"turn_detection": detection}}) as caller:
        await caller.say()
        await caller.until(TRANSCRIBED)
        assert script.requests == []
        await caller.respond()
        assert len(script.requests) == 1


async def test_barge_in(aiohttp_client: Start, settings: Settings) -> None:
    """Speech interrupts a response, the rest of which the model does not remember; the new turn is answered."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(100)))
    script.then("This is a first sentence of some length. ", "And this is the second one. ", script.go)
    async with speaking(client) as caller:
        await caller.say(1_000)
        first = await caller.until("response.created")
        await caller.until("response.output_audio.delta")
        await caller.say(500)
        await caller.until("input_audio_buffer.speech_started")
        done = (await caller.until("response.done"))["response"]
        assert (done["id"], done["status"]) == (first["response"]["id"], "cancelled")
        assert done["status_details"]["reason"] == "turn_detected"
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
        heard = (await caller.item(done["output"][0]["id"]))["content"][0]["transcript"]
    assert "second" not in heard
    dialogue = [m["content"] for m in script.messages if m["role"] != "system"]
    assert dialogue == ["What time is it?", *([heard] if heard else []), "Yes."]


async def test_barge_in_after_the_last_delta(aiohttp_client: Start, settings: Settings) -> None:
    """A response whose sound is still playing is cut, too."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(200)))
    script.then("This sentence takes some seconds to play.")
    async with speaking(client) as caller:
        await caller.say(1_000)
        item = (await caller.until("response.done"))["response"]["output"][0]
        await caller.say(300)
        await caller.until("response.done")
        heard = (await caller.item(item["id"]))["content"][0]["transcript"]
    assert heard != item["content"][0]["transcript"]
    assert item["content"][0]["transcript"].startswith(heard)


async def test_interruptions_can_be_off(aiohttp_client: Start, settings: Settings) -> None:
    """With `interrupt_response` false the new response follows the old one."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    script.then("This is a first sentence of some length. ", script.go, "And the end.")
    detection = {"type": "server_vad", "interrupt_response": False}
    async with speaking(client, audio={"input": {"turn_detection": detection}}) as caller:
        await caller.say(1_000)
        await caller.until("response.output_audio.delta")
        await caller.say(500)
        await caller.until(TRANSCRIBED)
        script.go.set()
        statuses = [(await caller.until("response.done"))["response"]["status"] for _ in range(2)]
    assert statuses == ["completed", "completed"]


@pytest.mark.parametrize("error", [SpeechError("unreachable", "The ears are away."), None])
async def test_nothing_understood(aiohttp_client: Start, settings: Settings, error: SpeechError | None) -> None:
    """A turn whose words are not understood, or that has none, stays for the client and is not shown to the model."""
    hearing = ScriptedHearing({300: ""}, [error])
    client, script = await serving(aiohttp_client, settings, scripted_engines(hearing=hearing))
    async with speaking(client) as caller:
        await caller.say(300)
        kind = TRANSCRIBED.replace("completed", "failed") if error else TRANSCRIBED
        event = await caller.until(kind)
        if error:
            expected = {"type": "server_error", "code": "transcription_failed", "message": "The ears are away."}
            assert event["error"] == expected
        item = await caller.item(event["item_id"])
        assert item["content"] == [{"type": "input_audio", "transcript": None if error else ""}]
        assert script.requests == []
        hearing.words = {300: "Yes."}
        await caller.say(300)
        await caller.until("response.done")
    assert [m["content"] for m in script.messages if m["role"] == "user"] == ["Yes."]


async def test_a_response_by_hand_without_words(aiohttp_client: Start, settings: Settings) -> None:
    """A response to what could not be understood fails with the reason."""
    hearing = ScriptedHearing(faults=[SpeechError("unreachable", "The ears are away.")])
    client, _ = await serving(aiohttp_client, settings, scripted_engines(hearing=hearing))
    async with speaking(client, **BY_HAND) as caller:
        await caller.append(tone(1_000))
        await caller.send("input_audio_buffer.commit")
        done = await caller.respond()
        assert done["status_details"]["error"]["code"] == "transcription_failed"


async def test_the_guess_is_heard_once(aiohttp_client: Start, settings: Settings) -> None:
    """A pause within a sentence is one turn, and the silence after a guess is no part of it."""
    hearing = ScriptedHearing()
    client, _ = await serving(aiohttp_client, settings, scripted_engines(hearing=hearing))
    async with speaking(client) as caller:
        await caller.append(tone(500) + silence(350) + tone(500) + silence(700))
        await caller.until("response.done")
    assert hearing.guesses >= 1
    (words, length) = hearing.heard[0]
    assert words == "What time is it?"
    assert length == pytest.approx(500 + 350 + 500 + 200, abs=100)


@pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
async def test_telephone(aiohttp_client: Start, settings: Settings, name: str) -> None:
    """G.711 is understood."""
    encoder = Encoder(name)  # type: ignore[arg-type]
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client, audio={"input": {"format": {"type": name}}}) as caller:
        await caller.append(encoder.encode(tone(1_000) + silence(900)), step=320)
        assert (await caller.until(TRANSCRIBED))["transcript"] == "What time is it?"


async def test_too_much_audio(aiohttp_client: Start, settings: Settings) -> None:
    """An event has at most 15 MiB, and a client is at most ten minutes ahead."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client, **BY_HAND) as caller:
        audio = base64.b64encode(bytes(15 << 20)).decode()
        assert (await caller.error("input_audio_buffer.append", audio=audio + "AAAAAAAA"))["code"] == "invalid_value"
        await caller.send("input_audio_buffer.append", audio=audio)
        assert (await caller.error("input_audio_buffer.append", audio=audio))["code"] == "rate_limit_exceeded"


async def test_an_item_with_audio(aiohttp_client: Start, settings: Settings) -> None:
    """The audio of an item that a client makes is understood before the response to it; it is not sent back."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    audio = base64.b64encode(tone(1_000)).decode()
    async with speaking(client) as caller:
        content = [{"type": "input_text", "text": "Hear:"}, {"type": "input_audio", "audio": audio}]
        await caller.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        done = await caller.respond()
        assert done["status"] == "completed"
        completed = next(event for event in caller.events if event["type"] == TRANSCRIBED)
        assert (completed["content_index"], completed["transcript"]) == (1, "What time is it?")
        item = await caller.item(completed["item_id"])
        assert item["content"][1] == {"type": "input_audio", "transcript": "What time is it?"}
        broken = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "%"}]}
        error = await caller.error("conversation.item.create", item=broken)
        assert (error["code"], error["param"]) == ("invalid_value", "item.content[0].audio")
    assert [m["content"] for m in script.messages if m["role"] == "user"] == ["Hear:\nWhat time is it?"]


async def test_closed_microphones_leave_nothing(aiohttp_client: Start, settings: Settings) -> None:
    """A client that leaves in the middle of its speech leaves no audio, no task and no ear behind."""
    hearing = ScriptedHearing()
    client, _ = await serving(aiohttp_client, settings, scripted_engines(hearing=hearing))
    async with speaking(client) as caller:
        await caller.append(tone(1_000))
        await caller.until("input_audio_buffer.speech_started")
    await until(lambda: not len(client.app[SESSIONS]))
    ears = client.app[EARS]
    assert ears is not None
    assert (len(ears), client.app[BUDGET].held["audio"], hearing.open) == (0, 0, 0)


async def test_noise_gives_the_answer_back(aiohttp_client: Start, settings: Settings) -> None:
    """What interrupts a response that was hardly heard, and has no words, costs nothing: the model is asked again."""
    hearing = ScriptedHearing({500: "", 1_000: "What time is it?"})
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(50), hearing))
    script.then("It is late, my friend, and cold. ", script.go)
    async with speaking(client) as caller:
        await caller.say(1_000)
        await caller.until("response.output_audio.delta")
        await caller.say(500)
        await caller.until("response.done")
        assert (await caller.until(TRANSCRIBED))["transcript"] == ""
        done = (await caller.until("response.done"))["response"]
    assert (done["status"], done["output"][0]["content"][0]["transcript"]) == ("completed", "Yes.")
    assert [m["content"] for m in script.messages if m["role"] != "system"] == ["What time is it?"]


@pytest.mark.slow
async def test_noise_gives_the_rest_back(aiohttp_client: Start, settings: Settings) -> None:
    """Of a response that was heard for a while the rest is spoken, without the model, at most twice in a row."""
    hearing = ScriptedHearing({500: "", 1_000: "What time is it?"})
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(100), hearing))
    script.then(text := "It is late, my friend, and it is cold, so that I would like to go home now.")
    heard = []
    async with speaking(client) as caller:
        await caller.say(1_000)
        for _ in range(3):
            item = (await caller.until("response.done"))["response"]["output"][0]
            await asyncio.sleep(1.6)  # it is heard in real time
            await caller.say(500)
            assert (await caller.until(TRANSCRIBED))["transcript"] == ""
            heard.append((await caller.item(item["id"]))["content"][0]["transcript"])
        assert len(script.requests) == 1
        await caller.say(1_000)
        await caller.until("response.done")
    assert all(1 < len(piece) < 40 for piece in heard)
    assert text.startswith(" ".join(piece.strip() for piece in heard))
    dialogue = [m["content"] for m in script.messages if m["role"] != "system"]
    assert dialogue == ["What time is it?", *heard, "What time is it?"]


async def test_metrics(aiohttp_client: Start, settings: Settings) -> None:
    """Metrics have the time to the first sound by stage, the seconds, the interruptions and the failures."""
    hearing = ScriptedHearing({500: "", 1_000: "What time is it?"}, [None, None, SpeechError("busy", "Too many.")])
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(50), hearing))
    script.then("It is late, my friend, and cold. ", script.go)
    async with speaking(client) as caller:
        await caller.say(1_000)
        item_id = (await caller.until("response.output_audio.delta"))["item_id"]
        await caller.say(500)
        await caller.until("response.done")
        await caller.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=50)
        await caller.until("response.done")
        await asyncio.sleep(0.5)  # the sound of "Yes." is over
        await caller.say(500)
        await caller.until(TRANSCRIBED.replace("completed", "failed"))
    values = {sample.name + str(sample.labels): sample.value for sample in samples(client, "charhost_speech_")}
    count = {stage: values["charhost_speech_latency_seconds_count" + str({"stage": stage})] for stage in STAGES}
    assert count == {"turn": 3, "transcript": 3, "word": 1, "sound": 1, "total": 1}
    assert values["charhost_speech_sound_seconds_total{'direction': 'heard'}"] > 1.5
    assert values["charhost_speech_sound_seconds_total{'direction': 'spoken'}"] > 0.2
    assert values["charhost_speech_interruptions_total{}"] == values["charhost_speech_given_back_total{}"] == 1
    assert values["charhost_speech_truncations_total{}"] == 1
    assert values["charhost_speech_errors_total{'engine': 'hearing', 'error_type': 'busy'}"] == 1


STAGES = ("turn", "transcript", "word", "sound", "total")


def samples(client: Client, prefix: str) -> list[Any]:
    """Return the samples of the metrics with a prefix."""
    families = client.app[METRICS].registry.collect()
    return [sample for family in families if family.name.startswith(prefix) for sample in family.samples]
