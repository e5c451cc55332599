"""Reloads, resumption and shutdown in the middle of speech."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from charhost.conversation.items import Audio, Message
from charhost.settings import Settings
from charhost.web.keys import DISCONNECTED, SESSIONS
from tests.conftest import Client, character
from tests.reload.helpers import Write
from tests.speech.engines import ScriptedSpeech, scripted_engines, silence, tone
from tests.tagged import edit
from tests.web.realtime.openai_client import calling
from tests.web.realtime.server import reload, until
from tests.web.realtime.voice_client import TRANSCRIBED, Speaker, Start, serving, speaking

TEXT = "It is late, my friend, and it is cold, so that I would like to go home now."


async def begun(caller: Speaker) -> None:
    """Have a response spoken that takes several seconds."""
    await caller.say(1_000)
    await caller.until("response.output_audio.delta")


def dialogue(script: Any) -> list[str]:
    """Return what the model was sent of the conversation."""
    return [message["content"] for message in script.messages if message["role"] != "system"]


async def test_follow_changes_the_voice_after_the_answer(
    aiohttp_client: Start, settings: Settings, write: Write
) -> None:
    """The answer under way ends, speech under way goes on, and both versions are asked for their voices."""
    engines = scripted_engines(speech := ScriptedSpeech(5))
    client, script = await serving(aiohttp_client, settings.model_copy(update={"sessions": "follow"}), engines)
    script.then("One moment, please. ", script.go, "Now.")
    async with speaking(client) as caller:
        await begun(caller)
        edit(write, "two")
        await reload(client)
        await caller.until("session.updated")
        script.go.set()
        done = (await caller.until("response.done"))["response"]
        assert done["status"] == "completed"
        await caller.append(tone(700))
        edit(write, "three")
        await reload(client)
        await caller.append(tone(300) + silence(700))
        assert (await caller.until(TRANSCRIBED))["transcript"] == "What time is it?"
        assert (await caller.until("response.done"))["response"]["status"] == "completed"
    assert len(speech.used) == 2


@pytest.mark.parametrize("moment", ["speech", "answer", "playing"])
async def test_a_drain_waits_for_the_talk(aiohttp_client: Start, settings: Settings, write: Write, moment: str) -> None:
    """A session that drains hears the user out, answers, and closes when the answer was heard."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(20)))
    script.then("It is late, my friend, and it is cold.")
    loop = asyncio.get_running_loop()
    async with speaking(client) as caller:
        await caller.append(tone(1_000))
        await caller.until("input_audio_buffer.speech_started")
        if moment == "speech":
            await reload(client, sessions="close", drain_seconds=60)
        await caller.append(silence(700))
        first = await caller.until("response.output_audio.delta")
        heard_from = loop.time()
        if moment == "answer":
            await reload(client, sessions="close", drain_seconds=60)
        if moment == "playing":
            await caller.until("response.done")
            await reload(client, sessions="close", drain_seconds=60)
        assert await caller.end() == 1012
        assert loop.time() - heard_from > 0.5  # of 0.76 s
    done = next(event for event in caller.events if event["type"] == "response.done")
    assert (done["response"]["id"], done["response"]["status"]) == (first["response_id"], "completed")


@pytest.mark.parametrize("moment", ["answer", "playing"])
async def test_a_client_resumes_with_what_it_heard(aiohttp_client: Start, settings: Settings, moment: str) -> None:
    """A reload in the middle of speech ends it; the conversation goes on with the words that were heard."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(100)))
    script.then(TEXT, *([script.go] if moment == "answer" else []))
    async with speaking(client) as caller:
        await begun(caller)
        if moment == "playing":
            await caller.until("response.done")
        await reload(client, sessions="close")
        assert await caller.end() == 1012
        session = caller.events[0]["session"]["id"]
        done = next(event["response"] for event in caller.events if event["type"] == "response.done")
    assert done["status"] == ("failed" if moment == "answer" else "completed")
    async with calling(client, speaker=Speaker, resume=session) as again:
        again.grammar.resume(caller.grammar)
        heard = (await again.item(done["output"][0]["id"]))["content"][0]["transcript"]
        assert len(heard) < 40
        assert TEXT.startswith(heard)
        await again.say(1_000)
        await again.until("response.done")
    assert dialogue(script) == ["What time is it?", *([heard] if heard else []), "What time is it?"]


async def test_half_a_sentence_does_not_come_back(aiohttp_client: Start, settings: Settings) -> None:
    """Speech that a reload cuts off is forgotten."""
    client, _ = await serving(aiohttp_client, settings, scripted_engines())
    async with speaking(client) as caller:
        await caller.append(tone(1_000))
        await caller.until("input_audio_buffer.speech_started")
        await reload(client, sessions="close")
        assert await caller.end() == 1012
        session = caller.events[0]["session"]["id"]
    async with calling(client, speaker=Speaker, resume=session) as again:
        await again.say(250)
        assert (await again.until(TRANSCRIBED))["transcript"] == "Yes."


async def test_a_character_that_is_removed_is_silent(aiohttp_client: Start, settings: Settings, write: Write) -> None:
    """The sound of a removed character stops at once."""
    write("bob.py", (settings.directory / "ada.py").read_text().replace("Ada", "Bob"))
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(1_000)))
    script.then(TEXT, script.go)
    async with speaking(client) as caller:
        await begun(caller)
        (settings.directory / "ada.py").unlink()
        await reload(client, sessions="follow")
        assert await caller.end() == 4004
    assert caller.events[-2]["response"]["status_details"]["error"]["code"] == "character_removed"


async def test_only_affected_sessions_are_closed(aiohttp_client: Start, settings: Settings, write: Write) -> None:
    """Speech of a character whose file changed stops; that of another one goes on to its end."""
    write("bob.py", character("Bob"))
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(5)))
    script.then(TEXT, script.go).then(TEXT, script.go)
    async with speaking(client) as ada, calling(client, speaker=Speaker, model="Bob") as bob:
        await begun(ada)
        await begun(bob)
        edit(write, "two")
        await reload(client, sessions="close_affected")
        assert await ada.end() == 1012
        script.go.set()
        assert (await bob.until("response.done"))["response"]["status"] == "completed"
    done = next(event["response"] for event in ada.events if event["type"] == "response.done")
    assert done["status"] == "failed"


@pytest.mark.parametrize("moment", ["speech", "answer", "playing"])
async def test_a_client_that_leaves(aiohttp_client: Start, settings: Settings, moment: str) -> None:
    """A lost client leaves what it has heard in the conversation, and nothing that runs."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(speech := ScriptedSpeech(100)))
    script.then(TEXT, *([script.go] if moment == "answer" else []))
    async with speaking(client) as caller:
        if moment == "speech":
            await caller.append(tone(1_000))
            await caller.until("input_audio_buffer.speech_started")
        else:
            await begun(caller)
        if moment == "playing":
            await caller.until("response.done")
        session = next(iter(client.app[SESSIONS]._live.values()))
        assert caller.ws._response.connection is not None
        caller.ws._response.connection.close()
    await until(lambda: not len(client.app[SESSIONS]))
    assert len(client.app[DISCONNECTED]) == 1
    items = [item for item in session.conversation.history if isinstance(item, Message) and item.role == "assistant"]
    for item in items:
        (part,) = item.parts
        assert isinstance(part, Audio)
        assert part.transcript is not None
        assert len(part.transcript) < 30
    assert speech.stopped == (moment == "answer")


async def test_shutdown_in_the_middle_of_speech(aiohttp_client: Start, settings: Settings) -> None:
    """At the end of the server a spoken response fails with the reason, and waits for nothing."""
    client, script = await serving(aiohttp_client, settings, scripted_engines(ScriptedSpeech(1_000)))
    script.then(TEXT, script.go)
    async with speaking(client) as caller:
        await begun(caller)
        closing = asyncio.create_task(stop(client))
        assert await caller.end() == 1001
        await closing
    assert caller.events[-1]["response"]["status_details"]["error"]["code"] == "server_shutdown"


async def stop(client: Client) -> None:
    """Shut the application down."""
    await client.app.shutdown()
