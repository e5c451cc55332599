"""Hearing by a server with OpenAI's audio API, and the listening of all engines that take whole turns."""

import asyncio
import json
import wave
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest

from charhost.speech.failure import SpeechError
from charhost.speech.openai.hearing import OpenAIHearing
from tests.speech.openai.audio_server import AudioServer

LOUD = b"\x00\x10" * 16_000


def said(text: str) -> tuple[int, dict[str, str], Any]:
    return 200, {"Content-Type": "application/json"}, json.dumps({"text": text}).encode()


@pytest.fixture
async def server() -> AsyncIterator[AudioServer]:
    async with AudioServer([said(" Good evening. ")]).running() as server:
        yield server


@pytest.fixture
async def hearing(server: AudioServer) -> AsyncIterator[OpenAIHearing]:
    hearing = OpenAIHearing(server.url, "s3cret", None)
    yield hearing
    await hearing.close()


async def test_a_turn_is_a_wav_file(server: AudioServer, hearing: OpenAIHearing) -> None:
    """With the language, and the words that are likely."""
    listening = hearing.listen("en-GB", "Charlotte")
    listening.feed(LOUD[:1000])
    listening.feed(LOUD[1000:])
    assert await listening.transcript(final=True) == ("Good evening.", 1.0)
    [request] = server.requests
    with wave.open(BytesIO(request.pop("file"))) as file:
        assert (file.getframerate(), file.getnchannels(), file.readframes(1 << 20)) == (16_000, 1, LOUD)
    expected = {"model": "whisper-1", "response_format": "json", "language": "en", "prompt": "Charlotte"}
    assert request == expected


async def test_a_guess_that_was_right_costs_nothing(server: AudioServer, hearing: OpenAIHearing) -> None:
    """The final transcript is that of the guess, unless more was heard meanwhile; then the next turn begins."""
    listening = hearing.listen(None, "")
    listening.feed(LOUD)
    guess = asyncio.create_task(listening.transcript(final=False))
    await asyncio.sleep(0)
    assert await listening.transcript(final=True) == await guess
    assert len(server.requests) == 1
    listening.feed(LOUD)
    await listening.transcript(final=False)
    listening.feed(LOUD)
    assert (await listening.transcript(final=True)).seconds == 2.0
    assert len(server.requests) == 3


async def test_digital_silence_has_no_words(server: AudioServer, hearing: OpenAIHearing) -> None:
    """Engines make words of it, so it is not sent; nor is what was dropped."""
    listening = hearing.listen(None, "")
    listening.feed(bytes(200_000))
    assert (await listening.transcript(final=True)).text == ""
    listening.feed(LOUD)
    listening.drop()
    assert await listening.transcript(final=True) == ("", 0.0)
    assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ((500, {}, b"no"), "refused"),
        ((429, {"Retry-After": "60"}, b""), "busy"),
        ((200, {}, b"<html>"), "malformed"),
        ((200, {}, b"{}"), "malformed"),
        ((200, {}, b'{"text": null}'), "malformed"),
        ((200, {}, None), "unreachable"),
    ],
)
async def test_failures(server: AudioServer, hearing: OpenAIHearing, reply: tuple[Any, ...], kind: str) -> None:
    """A failure is that of the transcript; the next turn is heard."""
    normal, server.replies = server.replies, [reply]
    listening = hearing.listen(None, "")
    listening.feed(LOUD)
    with pytest.raises(SpeechError) as caught:
        await listening.transcript(final=True)
    assert caught.value.error_type == kind
    server.replies = normal
    listening.feed(LOUD)
    assert (await listening.transcript(final=True)).text == "Good evening."


async def test_a_transcript_that_nobody_awaits_is_given_up(server: AudioServer, hearing: OpenAIHearing) -> None:
    """Cancelling it stops the request."""
    listening = hearing.listen(None, "")
    listening.feed(LOUD)
    waiting = asyncio.create_task(listening.transcript(final=False))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await listening.close()
    assert (await hearing.listen(None, "").transcript(final=True)).text == ""
