"""Spoken responses over real sockets, with a scripted voice."""

from __future__ import annotations

import asyncio
import base64

import pytest

from charhost.settings import Settings
from charhost.speech.failure import SpeechError
from tests.scripted import call, end
from tests.speech.engines import ScriptedSpeech, loud_ms, scripted_engines
from tests.web.realtime.event_grammar import Dialect
from tests.web.realtime.openai_client import DIALECTS, MESSAGE
from tests.web.realtime.voice_client import AUDIO, SPOKEN, Start, serving, speaking

BETA_SPOKEN = [
    kind.replace("output_audio", "audio")
    .replace("item.added", "item.created", 1)
    .replace("output_item.created", "output_item.added")
    for kind in SPOKEN
    if kind != "conversation.item.done"
]


@DIALECTS
async def test_typed_words_are_answered_with_sound(aiohttp_client: Start, settings: Settings, dialect: Dialect) -> None:
    """A client that asks for audio gets the words of each clause, and then their sound."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    script.then("Well, hello there. ", "How are you", " today, my friend?")
    async with speaking(client, dialect, **(AUDIO if dialect == "ga" else {"modalities": ["text", "audio"]})) as caller:
        await caller.add("Hi")
        response = await caller.respond()
        kinds = caller.since("response.created")
        sound, text = caller.sound(), response["output"][0]["content"][0]["transcript"]
    assert (response["status"], text) == ("completed", "Well, hello there. How are you today, my friend?")
    assert kinds[:6] == ["response.created", *(SPOKEN if dialect == "ga" else BETA_SPOKEN)[:5]]
    assert loud_ms(sound, 24_000) == pytest.approx(10 * (len(text) - 1), abs=20)


async def test_a_client_that_types_gets_text(aiohttp_client: Start, settings: Settings) -> None:
    """A voice changes nothing for clients that neither send audio nor ask for it."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client) as caller:
        assert caller.events[0]["session"]["output_modalities"] == ["text"]
        await caller.add("Hi")
        await caller.respond()
        assert caller.since("response.created") == ["response.created", *MESSAGE, "response.done"]


async def test_one_response_with_sound(aiohttp_client: Start, settings: Settings) -> None:
    """A client may ask for sound in a single response."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client) as caller:
        await caller.add("Hi")
        response = await caller.respond(output_modalities=["audio"])
        assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": "Yes."}]
        assert (await caller.respond())["output"][0]["content"] == [{"type": "output_text", "text": "Yes."}]


@pytest.mark.parametrize(("name", "size"), [("audio/pcmu", 1), ("audio/pcma", 1), ("audio/pcm", 6)])
async def test_formats(aiohttp_client: Start, settings: Settings, name: str, size: int) -> None:
    """Sound comes in the format that the client chooses."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    script.then(text := "A text of fifty letters, which takes half a second")
    given = {"type": name} | ({"rate": 24_000} if size == 6 else {})
    async with speaking(client, **AUDIO, audio={"output": {"format": given}}) as caller:
        await caller.respond()
        assert len(caller.sound()) == pytest.approx(8 * 10 * (len(text) - 1) * size, abs=16)


async def test_cancel_in_the_middle(aiohttp_client: Start, settings: Settings) -> None:
    """A cancelled response ends at once, and what was not heard is taken out of the conversation."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(100)))
    script.then("This is a first sentence of some length. ", "And this is the second one. ", script.go)
    async with speaking(client, **AUDIO) as caller:
        await caller.add("Hi")
        await caller.send("response.create")
        await caller.until("response.output_audio.delta")
        await caller.send("response.cancel")
        done = (await caller.until("response.done"))["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
        item = done["output"][0]
        assert item["status"] == "incomplete"
        heard = (await caller.item(item["id"]))["content"][0]["transcript"]
        assert len(heard) < len(item["content"][0]["transcript"])
        await caller.add("And?")
        await caller.respond()
    assert [m["content"] for m in script.messages if m["role"] == "assistant"] == [heard] * bool(heard)


@pytest.mark.parametrize(
    ("milliseconds", "heard"), [(0, ""), (1_000, "One two"), (1_300, "One two three"), (99_999, "One two three four.")]
)
async def test_truncation(aiohttp_client: Start, settings: Settings, milliseconds: int, heard: str) -> None:
    """The model remembers what the client has heard, to the word; beyond the end that is all."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(100)))
    script.then("One two three four.")
    async with speaking(client, **AUDIO) as caller:
        await caller.add("Count.")
        item_id = (await caller.respond())["output"][0]["id"]
        for length in (300, milliseconds):
            fields = {"item_id": item_id, "content_index": 0, "audio_end_ms": length}
            await caller.send("conversation.item.truncate", **fields)
            assert (await caller.until("conversation.item.truncated"))["audio_end_ms"] == length
        assert (await caller.item(item_id))["content"] == [{"type": "output_audio", "transcript": heard}]
        await caller.add("And?")
        await caller.respond()
    assert [m["content"] for m in script.messages if m["role"] == "assistant"] == ([heard] if heard else [])


async def test_written_messages_are_not_truncated(aiohttp_client: Start, settings: Settings) -> None:
    """Only sound can be truncated."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client) as caller:
        item = (await caller.respond())["output"][0]
        error = await caller.error("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=100)
        assert error["code"] == "unsupported_content_type"
        assert error["message"] == "Only model output audio messages can be truncated"


@pytest.mark.parametrize("after", [0, 3])
async def test_a_failing_voice_costs_the_sound(aiohttp_client: Start, settings: Settings, after: int) -> None:
    """The words go on without sound, and the response says why it failed."""
    speech = ScriptedSpeech(faults=[SpeechError("busy", "The voice is busy.")], after=after)
    client, script = await serving(aiohttp_client, settings, scripted_engines(speech))
    script.then("This is a first sentence of some length. ", "And this is the second one.")
    async with speaking(client, **AUDIO) as caller:
        await caller.add("Hi")
        done = await caller.respond()
        error = {"type": "server_error", "code": "speech_failed", "message": "The voice is busy."}
        assert (done["status"], done["status_details"]["error"]) == ("failed", error)
        assert caller.spoken() == "This is a first sentence of some length. And this is the second one."
        assert len(caller.sound()) == after * 4_800
        assert (await caller.respond())["status"] == "completed"


async def test_tools_beside_speech(aiohttp_client: Start, settings: Settings) -> None:
    """A message that is spoken ends before the call after it begins."""
    client, script = await serving(aiohttp_client, settings, scripted_engines())
    script.then("Let me see.", call("get_weather"), end("tool_calls"))
    weather = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    async with speaking(client, **AUDIO, tools=[weather]) as caller:
        await caller.add("Weather?")
        done = await caller.respond()
        assert [item["type"] for item in done["output"]] == ["message", "function_call"]


async def test_a_long_answer_is_not_far_ahead(aiohttp_client: Start, settings: Settings) -> None:
    """At most 30 s of sound are sent ahead of what the client can have heard."""
    speech = ScriptedSpeech(1_000)
    client, script = await serving(aiohttp_client, settings, scripted_engines(speech))
    script.then("This sentence takes about a minute to be spoken by a slow voice.")
    async with speaking(client, **AUDIO) as caller:
        await caller.send("response.create")
        while len(caller.sound()) < 30 * 48_000:
            await caller.until("response.output_audio.delta")
        await caller.send("response.cancel")
        await caller.until("response.done")
        assert len(caller.sound()) <= 32 * 48_000
        assert speech.stopped == 1


async def test_sound_that_waits_is_dropped(aiohttp_client: Start, settings: Settings) -> None:
    """After a response has ended no sound of it is sent."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(500)))
    script.then("This is a first sentence of some length. ", script.go)
    async with speaking(client, **AUDIO) as caller:
        await caller.send("response.create")
        await caller.until("response.output_audio.delta")
        await caller.send("response.cancel")
        await caller.until("response.done")
        await asyncio.sleep(0)
        last = [event["type"] for event in caller.events].index("response.output_audio.done")
        assert "response.output_audio.delta" not in [event["type"] for event in caller.events[last:]]
        assert base64.b64decode(caller.events[last - 1].get("delta", ""))
