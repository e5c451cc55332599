"""Speech from moshi-server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from charhost.speech.failure import SpeechError
from charhost.speech.kyutai.speech import KyutaiSpeech
from charhost.speech.speech import Sound, Voice
from tests.speech.kyutai.moshi_server import FAULTS, FRAME, MoshiServer

VOICE = Voice("voices/ada & co.wav")


@pytest.fixture
async def server() -> AsyncIterator[MoshiServer]:
    async with MoshiServer().running() as server:
        yield server


@pytest.fixture
async def speech(server: MoshiServer) -> AsyncIterator[KyutaiSpeech]:
    speech = KyutaiSpeech(server.url, None, server.url.replace("ws", "http", 1))
    yield speech
    await speech.close()


async def words(*pieces: str) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


async def spoken(speech: KyutaiSpeech, *pieces: str, voice: Voice = VOICE) -> list[Sound]:
    return [sound async for sound in speech.speak(words(*pieces), voice)]


async def test_words_are_sent_one_by_one(server: MoshiServer, speech: KyutaiSpeech) -> None:
    """Each word begins in its own sound, with its time; all texts together are what was to be spoken."""
    sounds = await spoken(speech, "Good eve", "ning, *dear* ", "🙂 guest.")
    assert [message.get("text") for message in server.received] == ["Good", "evening,", "dear", "guest.", None]
    assert [sound.text for sound in sounds] == ["Good ", "evening, ", "*dear* ", "🙂 guest.", ""]
    assert [len(sound.pcm) for sound in sounds] == [2 * FRAME] * 4 + [0]
    assert [(time.text, time.start_ms, time.end_ms) for sound in sounds for time in sound.times][1] == (
        "evening,",
        80,
        160,
    )
    assert server.queries == [{"format": "PcmMessagePack", "cfg_alpha": "1.5", "voice": "voices/ada & co.wav"}]


async def test_text_without_words(server: MoshiServer, speech: KyutaiSpeech) -> None:
    """It has no sound."""
    assert await spoken(speech, "🙂", " …") == [Sound(b"", "🙂 …")]


async def test_a_voice_is_cloned_once(server: MoshiServer, speech: KyutaiSpeech, tmp_path: Path) -> None:
    """The file goes to the server that clones; what it makes is the first message, without a name."""
    (tmp_path / "ada.wav").write_bytes(b"RIFF sound")
    for _ in range(2):
        await spoken(speech, "Yes. ", voice=Voice("ada.wav", sample=tmp_path / "ada.wav"))
    assert server.cloned == [b"RIFF sound"]
    assert server.received[0] == {"type": "Voice", "embeddings": [0.5, 0.25], "shape": [1, 2]}
    assert "voice" not in server.queries[0]


async def test_leaving_closes_the_connection(server: MoshiServer, speech: KyutaiSpeech) -> None:
    """An answer that is interrupted gives its channel back."""

    async def unfinished() -> AsyncIterator[str]:
        yield "One two three four "
        await asyncio.Event().wait()

    async with aclosing(speech.speak(unfinished(), VOICE)) as sounds:
        await anext(sounds)
    async with asyncio.timeout(30):
        while server.open:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
async def test_faults(server: MoshiServer, speech: KyutaiSpeech, fault: str, kind: str) -> None:
    """Each is an error of its kind, whose text has no address."""
    server.fault = fault
    with pytest.raises(SpeechError) as caught:
        await spoken(speech, "Good evening, dear guest. ")
    assert caught.value.error_type == kind
    assert "127.0.0.1" not in str(caught.value)


async def test_a_full_server_is_left_alone_for_a_while(server: MoshiServer, speech: KyutaiSpeech) -> None:
    """It is down meanwhile, and is not asked."""
    assert await speech.state() == "up"
    server.fault = "full"
    for _ in range(3):
        with pytest.raises(SpeechError, match="no free channels"):
            await spoken(speech, "Yes. ")
    assert len(server.queries) == 1
    assert await speech.state() == "down"


async def test_a_server_that_is_not_there() -> None:
    """The engine is down, and speaking fails."""
    speech = KyutaiSpeech("ws://127.0.0.1:9", None, None)
    assert await speech.state() == "down"
    with pytest.raises(SpeechError, match="cannot be reached"):
        await spoken(speech, "Yes. ")
    await speech.close()
