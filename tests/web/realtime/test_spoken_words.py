"""Real audio, end to end: Piper asks, Whisper hears, Piper answers, and Whisper hears the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from difflib import SequenceMatcher

import pytest

from charhost.settings import Settings
from charhost.speech.engines import Engines
from charhost.speech.formats import Decoder
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS, ENGINES, SETS
from tests.conftest import Client
from tests.scripted import end
from tests.speech.engines import silence
from tests.web.realtime.openai_client import LIMIT, Script
from tests.web.realtime.voice_client import TRANSCRIBED, Start, speaking

pytest.importorskip("piper", reason="the extra piper is not installed")

QUESTION = "What is the weather like today?"
ANSWER = "The weather is nice and warm today. We can go for a walk in the park."


async def spoken(client: Client, text: str) -> bytes:
    """Return the sound of a text in the voice of Ada."""

    async def pieces() -> AsyncIterator[str]:
        yield text

    engines, ada = client.app[ENGINES], client.app[SETS].default.manager.current["Ada"]
    assert engines.speech is not None
    assert engines.voices is not None
    voice = await engines.voices.of(ada)
    return b"".join([sound.pcm async for sound in engines.speech.speak(pieces(), voice)])


async def heard(engines: Engines, sound: bytes) -> str:
    """Return the words in sound of 24 kHz."""
    assert engines.hearing is not None
    listening = engines.hearing.listen(None, "")
    listening.feed(Decoder("audio/pcm").decode(sound + silence(200)).tobytes())
    text = (await listening.transcript(True)).text
    await listening.close()
    return text


def words(text: str) -> list[str]:
    """Return the words of a text without marks."""
    return [word.strip(".,?!").lower() for word in text.split()]


@pytest.mark.slow
async def test_a_spoken_conversation(aiohttp_client: Start, settings: Settings) -> None:
    """A question is understood word for word, and so is the sound of the answer, in one wrong word of ten at most."""
    client = await aiohttp_client(create_app(settings.model_copy(update={"voice": True})))
    client.app[CONVERSATIONS].models = script = Script()
    script.then(*[f"{word} " for word in ANSWER.split()], end())
    engines = client.app[ENGINES]
    assert engines.speech is not None
    assert engines.hearing is not None
    async with asyncio.timeout(LIMIT):
        while {await engines.speech.state(), await engines.hearing.state()} != {"up"}:
            await asyncio.sleep(0.1)
    question = await spoken(client, QUESTION)
    async with speaking(client) as caller:
        await caller.append(silence(300) + question + silence(1_500))
        assert words((await caller.until(TRANSCRIBED))["transcript"]) == words(QUESTION)
        await caller.until("response.done")
        sound = caller.sound()
        assert caller.spoken().split() == ANSWER.split()
    found = words(await heard(engines, sound))
    alike = sum(block.size for block in SequenceMatcher(None, found, words(ANSWER)).get_matching_blocks())
    assert alike >= 0.9 * len(words(ANSWER)), found
