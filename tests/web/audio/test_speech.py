"""POST /v1/audio/speech."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import aiohttp
import av
import openai
import pytest
from aiohttp import web

from charhost.settings import Settings
from charhost.speech.failure import SpeechError
from charhost.speech.speech import Sound, Voice
from charhost.web.app import create_app
from tests.speech.engines import ScriptedSpeech, tone
from tests.web.audio.conftest import Connect

TEXT = "Good evening."
SOUND = tone(len(TEXT) * 10)


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("mp3", "audio/mpeg"), ("opus", "audio/ogg"), ("aac", "audio/aac"), ("flac", "audio/flac"), ("wav", "audio/wav")],
)
async def test_formats(connect: Connect, kind: str, content_type: str) -> None:
    """A file of each format has the whole sound."""
    client = await connect()
    response = await client.post("/v1/audio/speech", json={"input": TEXT, "response_format": kind, "model": "tts-1"})
    assert (response.status, response.content_type) == (200, content_type)
    with av.open(io.BytesIO(await response.read()), mode="r") as file:
        seconds = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    assert seconds == pytest.approx(len(SOUND) / 48_000, abs=0.1)


@pytest.mark.parametrize("kind", ["mp3", "opus", "aac", "flac", "wav"])
async def test_a_text_without_words(connect: Connect, kind: str) -> None:
    """Chat programs send emojis and blank lines, too: the file has a moment of silence."""
    client = await connect()
    response = await client.post("/v1/audio/speech", json={"input": " \n", "response_format": kind})
    assert response.status == 200
    with av.open(io.BytesIO(await response.read()), mode="r") as file:
        assert sum(frame.samples for frame in file.decode(audio=0)) > 0


@pytest.mark.parametrize(
    "names", [{"voice": "Ada"}, {"voice": "alloy", "model": "ada"}, {"voice": {"id": "nova"}, "model": "tts-1"}, {}]
)
async def test_who_speaks(connect: Connect, names: dict[str, Any]) -> None:
    """The character that `voice` or `model` names; names of OpenAI's, which many programs send, are no error."""
    speech = ScriptedSpeech()
    client = await connect(speech)
    response = await client.post(
        "/v1/audio/speech", json={"input": TEXT, "response_format": "pcm", "speed": 1.5, **names}
    )
    assert await response.read() == SOUND
    assert [(voice.name, voice.speed) for voice in speech.used] == [("Ada", 1.5)]


async def test_events(connect: Connect) -> None:
    """The sound as server-sent events, and the end."""
    client = await connect()
    body = {"input": TEXT, "response_format": "pcm", "stream_format": "sse"}
    text = await (await client.post("/v1/audio/speech", json=body)).text()
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == SOUND
    assert events[-1]["type"] == "speech.audio.done"


@pytest.mark.parametrize(
    "wrong",
    [{"input": ""}, {"input": "a" * 4097}, {}, {"input": TEXT, "response_format": "au"}, {"input": TEXT, "speed": 5}],
)
async def test_wrong_requests(connect: Connect, wrong: dict[str, Any]) -> None:
    """They are refused in OpenAI's shape."""
    client = await connect()
    response = await client.post("/v1/audio/speech", json=wrong)
    assert (response.status, (await response.json())["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(("kind", "status"), [("busy", 429), ("timeout", 504), ("unreachable", 503), ("refused", 502)])
async def test_an_engine_that_fails(connect: Connect, kind: Any, status: int) -> None:
    """Before the first sound it is a status; afterwards the connection breaks, or an event has the error."""
    fault = SpeechError(kind, "The engine failed.")
    client = await connect(ScriptedSpeech(faults=[fault]))
    response = await client.post("/v1/audio/speech", json={"input": TEXT})
    assert (response.status, (await response.json())["error"]["code"]) == (status, "speech_failed")
    client = await connect(ScriptedSpeech(faults=[fault, fault], after=1))
    with pytest.raises(aiohttp.ClientError):
        await (await client.post("/v1/audio/speech", json={"input": TEXT, "response_format": "pcm"})).read()
    body = {"input": TEXT, "response_format": "pcm", "stream_format": "sse"}
    assert '"speech_failed"' in await (await client.post("/v1/audio/speech", json=body)).text()


class Stalling(ScriptedSpeech):
    """Says a little, and then nothing; notes its end."""

    def __init__(self) -> None:
        super().__init__(faults=[asyncio.Event()], after=1)
        self.has_ended = asyncio.Event()

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Sound, None]:
        try:
            async for sound in super().speak(text, voice):
                yield sound
        finally:
            self.has_ended.set()


async def test_a_client_that_leaves_stops_the_engine(connect: Connect) -> None:
    """Nothing is synthesised for a listener who is gone."""
    speech = Stalling()
    client = await connect(speech)
    response = await client.post("/v1/audio/speech", json={"input": TEXT, "response_format": "pcm"})
    await response.content.readany()
    response.close()
    async with asyncio.timeout(30):
        await speech.has_ended.wait()


async def test_a_client_that_leaves_is_no_fault(
    connect: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that finds the connection closed, before the handler is cancelled for it, is no error in the log."""

    async def find_it_closed(*_: object) -> None:
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(web.StreamResponse, "write", find_it_closed)
    client = await connect()
    async with client.post("/v1/audio/speech", json={"input": TEXT, "response_format": "pcm"}) as response:
        assert response.status == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_without_an_engine(aiohttp_client: Connect, settings: Settings) -> None:
    """It is not found, and the error names the option."""
    client = await aiohttp_client(create_app(settings))
    response = await client.post("/v1/audio/speech", json={"input": TEXT})
    assert response.status == 404
    assert "--tts" in (await response.json())["error"]["message"]
    assert await (await client.get("/v1/audio/voices")).json() == {"voices": []}
    assert await (await client.get("/v1/audio/models")).json() == {"models": []}


async def test_the_sdk(connect: Connect) -> None:
    """OpenAI's client streams speech, and has a file transcribed."""
    http = await connect()
    client = openai.AsyncOpenAI(base_url=str(http.make_url("/v1")), api_key="none")
    async with client.audio.speech.with_streaming_response.create(
        input=TEXT, model="tts-1", voice="ada", response_format="wav"
    ) as response:
        file = await response.read()
    assert file[44:] == SOUND
    found = await client.audio.transcriptions.create(file=("a.wav", file), model="whisper-1")
    assert found.text == "Yes."
    await client.close()
