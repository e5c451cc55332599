"""Speech from a server with OpenAI's audio API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from charhost.speech.failure import SpeechError
from charhost.speech.openai.speech import OpenAISpeech
from charhost.speech.openai.wav import wav
from charhost.speech.speech import Sound, Voice
from tests.speech.openai.audio_server import AudioServer

PCM = {"Content-Type": "audio/pcm"}
SOUND = bytes(range(256)) * 40
CORAL = Voice("coral", speed=1.25, description="Low and warm.")


@pytest.fixture
async def server() -> AsyncIterator[AudioServer]:
    async with AudioServer([(200, PCM, SOUND)]).running() as server:
        yield server


async def words(*pieces: str) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


async def spoken(
    server: AudioServer, *pieces: str, voice: Voice = CORAL, key: str | None = None, model: str | None = None
) -> list[Sound]:
    speech = OpenAISpeech(server.url, key, model)
    try:
        return [sound async for sound in speech.speak(words(*(pieces or ("Good evening. ",))), voice)]
    finally:
        await speech.close()


async def failure(server: AudioServer, **more: Any) -> SpeechError:
    with pytest.raises(SpeechError) as caught:
        await spoken(server, **more)
    assert server.url not in str(caught.value)
    return caught.value


def pcm(sounds: list[Sound]) -> bytes:
    return b"".join(sound.pcm for sound in sounds)


async def test_each_clause_is_a_request(server: AudioServer) -> None:
    """The sound of a clause begins with its text, and all texts together are what was to be spoken."""
    sounds = await spoken(server, "Good evening, dear", " guest. How are you tonight? ", "🙂")
    assert [request["input"] for request in server.requests] == ["Good evening,", "dear guest. How are you tonight?"]
    assert "".join(sound.text for sound in sounds) == "Good evening, dear guest. How are you tonight? 🙂"
    assert pcm(sounds) == 2 * SOUND


async def test_the_request(server: AudioServer) -> None:
    """Fields that only some servers know are left out; a description goes to the models that follow it."""
    await spoken(server, key="s3cret")
    plain = {"model": "tts-1", "input": "Good evening.", "voice": "coral", "response_format": "pcm", "speed": 1.25}
    assert server.requests == [plain]
    assert server.headers[0]["Authorization"] == "Bearer s3cret"
    await spoken(server, model="gpt-4o-mini-tts")
    assert server.requests[1] == plain | {"model": "gpt-4o-mini-tts", "instructions": "Low and warm."}


async def test_samples_that_are_cut_between_two_pieces(server: AudioServer) -> None:
    """Every piece has whole samples."""
    server.replies = [(200, PCM, [SOUND[:5], SOUND[5:1001], SOUND[1001:]])]
    sounds = await spoken(server)
    assert all(len(sound.pcm) % 2 == 0 for sound in sounds)
    assert pcm(sounds) == SOUND


@pytest.mark.parametrize("size", [3, 20, 10_000])
async def test_wav_is_read_by_its_header(server: AudioServer, size: int) -> None:
    """A header in any number of pieces is no sound; at another rate the sound is resampled."""
    for rate, length in ((24_000, 10_240), (48_000, 5_120)):
        file = wav(SOUND, rate)
        server.replies = [
            (200, {"Content-Type": "audio/wav"}, [file[at : at + size] for at in range(0, len(file), size)])
        ]
        assert len(pcm(await spoken(server))) == length


async def test_a_voice_that_the_server_refuses(server: AudioServer) -> None:
    """It is asked once more with the default voice."""
    server.replies = [(400, {}, b'{"error": "unknown voice"}'), (200, PCM, SOUND)]
    assert pcm(await spoken(server)) == SOUND
    assert [request["voice"] for request in server.requests] == ["coral", "alloy"]


async def test_a_refusal_is_one_whatever_the_voice(server: AudioServer) -> None:
    """The error has the status and not the text of the server, which may hold anything."""
    server.replies = [(400, {}, b"s3cret")]
    error = await failure(server)
    assert (error.error_type, str(error)) == ("refused", "The server that speaks refused the request (400).")
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_is_busy_for_a_moment(server: AudioServer, status: int) -> None:
    """The request is repeated once; a longer pause than a listener waits is not waited for."""
    server.replies = [(status, {"Retry-After": "0"}, b""), (200, PCM, SOUND)]
    assert pcm(await spoken(server)) == SOUND
    server.replies = [(status, {"Retry-After": "60"}, b"")]
    assert (await failure(server)).error_type == "busy"
    assert len(server.requests) == 3


async def test_a_connection_that_breaks_before_the_sound(server: AudioServer) -> None:
    """It is tried once more."""
    server.replies = [(200, PCM, None), (200, PCM, SOUND)]
    assert pcm(await spoken(server)) == SOUND


async def test_a_stream_that_is_cut(server: AudioServer) -> None:
    """What came is heard, and then the failure is reported: repeated sound would be heard twice."""
    server.replies = [(200, PCM, [SOUND, None])]
    speech, heard = OpenAISpeech(server.url, None, None), bytearray()

    async def listen() -> None:
        async for sound in speech.speak(words("Good evening. "), CORAL):
            heard.extend(sound.pcm)

    with pytest.raises(SpeechError) as caught:
        await listen()
    assert (bytes(heard), caught.value.error_type) == (SOUND, "unreachable")
    assert len(server.requests) == 1
    await speech.close()


@pytest.mark.parametrize("kind", ["application/json", "audio/mpeg", "text/html"])
async def test_what_is_no_sound(server: AudioServer, kind: str) -> None:
    """It is not played."""
    server.replies = [(200, {"Content-Type": kind}, b"{}")]
    assert (await failure(server)).error_type == "malformed"


@pytest.mark.parametrize(
    "header",
    [
        b"RIFF" + bytes(40),
        wav(b"", 24_000)[:20] + bytes([3]) + wav(b"", 24_000)[21:34] + b" \0" + wav(b"", 24_000)[36:],
    ],
)
async def test_a_wav_that_is_none_of_ours(server: AudioServer, header: bytes) -> None:
    """Neither a broken header nor samples of 32 bits are played as noise."""
    server.replies = [(200, {"Content-Type": "audio/wav"}, header)]
    assert (await failure(server)).error_type == "malformed"


async def test_a_wrong_key(server: AudioServer) -> None:
    """The error says so."""
    server.replies = [(401, {}, b"sk-s3cret is wrong")]
    assert "does not accept the key" in str(await failure(server, key="sk-s3cret"))


async def test_a_server_that_is_down() -> None:
    """The engine is down, and a request fails."""
    server = AudioServer(url="http://127.0.0.1:9/v1")
    assert (await failure(server)).error_type == "unreachable"
    speech = OpenAISpeech(server.url, None, None)
    assert await speech.state() == "down"
    await speech.close()


@pytest.mark.parametrize(
    ("listed", "ids"),
    [
        (None, []),
        ({"voices": ["af_bella", "af_sky"]}, ["af_bella", "af_sky"]),
        ({"voices": [{"id": "a", "name": "A"}, {"name": "b"}, {"x": 1}, 7]}, ["a", "b"]),
        ([{"voice_id": "c", "language": "en"}], ["c"]),
        ({"voices": "none"}, []),
    ],
)
async def test_lists_of_voices(server: AudioServer, listed: Any, ids: list[str]) -> None:
    """Servers list their voices in several ways, or not at all."""
    server.listed = listed
    speech = OpenAISpeech(server.url, None, None)
    assert [voice.id for voice in await speech.voices()] == ids
    assert await speech.state() == "up"
    await speech.close()


async def test_a_list_of_voices_without_end(server: AudioServer) -> None:
    """A list of more than a MiB is none; no more of it is read."""
    server.listed = ["x" * 100] * 50_000
    speech = OpenAISpeech(server.url, None, None)
    with pytest.raises(SpeechError):
        await speech.voices()
    await speech.close()
