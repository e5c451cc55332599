"""POST /v1/audio/transcriptions."""

import json
import tracemalloc
from io import BytesIO
from typing import Any

import pytest
from aiohttp import FormData, web

from charhost.settings import Settings
from charhost.speech.failure import SpeechError
from charhost.speech.openai.wav import wav
from charhost.web.app import create_app
from charhost.web.audio import transcriptions
from charhost.web.audio.upload import TranscriptionFields, read_form
from charhost.web.keys import MEMORY
from tests.speech.engines import ScriptedHearing, silence, tone
from tests.web.audio.conftest import Connect

YES = wav(tone(300), 24_000)
# Two sentences with a pause between them, after which the first half ends.
LONG = wav(silence(2_000) + tone(1_000) + silence(17_000) + tone(300) + silence(9_000), 24_000)


def form(file: bytes | None = YES, **fields: str) -> FormData:
    data = FormData({"model": "whisper-1", **fields})
    if file is not None:
        data.add_field("file", BytesIO(file), filename="talk.wav", content_type="audio/wav")
    return data


FORMATS = {
    "text": "What time is it? Yes.\n",
    "srt": "1\n00:00:00,000 --> 00:00:",
    "vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:",
    "verbose_json": '"segments":[{"id":0,"start":0.0,"end":',
}
WRONG: tuple[tuple[Any, int], ...] = (
    (form(None), 415),
    (form(b""), 400),
    (form(b"this is no sound"), 400),
    (form(b"RIFF" + bytes(1000)), 400),
    (form(wav(tone(300), (1 << 31) - 1)), 400),  # a rate for which FFmpeg finds no memory
    (form(response_format="xml"), 400),
    (form(bytes((25 << 20) + 1)), 413),
    (b"{}", 415),
)


async def test_a_file_is_understood(connect: Connect) -> None:
    """The engine hears it with the language and the words that are likely."""
    hearing = ScriptedHearing()
    client = await connect(hearing=hearing)
    response = await client.post("/v1/audio/transcriptions", data=form(language="en", prompt="Ada"))
    found = await response.json()
    assert found == {"text": "Yes.", "usage": {"type": "duration", "seconds": pytest.approx(0.3, abs=0.01)}}
    assert (hearing.hints, hearing.open) == ([("en", "Ada")], 0)


async def test_formats_of_a_long_file(connect: Connect) -> None:
    """It is cut where it is quiet, and each piece has its times; of a stream each piece is an event."""
    client = await connect()
    for kind, expected in FORMATS.items():
        text = await (await client.post("/v1/audio/transcriptions", data=form(LONG, response_format=kind))).text()
        assert expected in text
        assert text.index("What time is it?") < text.index("Yes.")
    text = await (await client.post("/v1/audio/transcriptions", data=form(LONG, stream="true"))).text()
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert [event.get("delta") for event in events] == ["What time is it?", " Yes.", None]
    assert events[-1]["text"] == "What time is it? Yes."


async def test_wrong_requests(connect: Connect) -> None:
    """They are refused, and the next one is served."""
    client = await connect()
    for data, status in WRONG:
        response = await client.post("/v1/audio/transcriptions", data=data)
        assert response.status == status
        assert (await response.json())["error"]["type"] == "invalid_request_error"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (
        b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\nabc",
        b'--x\r\nContent-Disposition: form-data; name="file\r\n\r\nabc\r\n--x--\r\n',
        b"--x\r\nContent-Disposition: form-data; name=\x1b[2J\r\n\r\nabc\r\n--x--\r\n",
        b"no form",
        b"",
    ):
        response = await client.post("/v1/audio/transcriptions", data=body, headers=headers)
        assert response.status == 400
    assert (await client.post("/v1/audio/transcriptions", data=form())).status == 200


async def test_memory_of_a_form(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form is held twice at most, and counted so."""
    client = await connect()
    counted: list[int] = []

    async def read(request: web.Request) -> tuple[bytes, TranscriptionFields]:
        tracemalloc.start()
        try:
            found = await read_form(request)
            counted.extend((tracemalloc.get_traced_memory()[1], request[MEMORY].size))
        finally:
            tracemalloc.stop()
        return found

    monkeypatch.setattr(transcriptions, "read_form", read)
    response = await client.post("/v1/audio/transcriptions", data=form(bytes(size := 20 << 20)))
    assert (response.status, len(counted)) == (400, 2)  # zeros are no sound
    assert counted[0] < 2.5 * size
    assert counted[1] >= 2 * size


async def test_an_engine_that_fails(connect: Connect) -> None:
    """It is a status, or an event of a stream."""
    fault = SpeechError("unreachable", "The engine is gone.")
    client = await connect(hearing=ScriptedHearing(faults=[fault, fault]))
    response = await client.post("/v1/audio/transcriptions", data=form())
    assert (response.status, (await response.json())["error"]["code"]) == (503, "transcription_failed")
    response = await client.post("/v1/audio/transcriptions", data=form(stream="true"))
    assert '"transcription_failed"' in await response.text()


async def test_without_an_engine(aiohttp_client: Connect, settings: Settings) -> None:
    """It is not found, and the error names the option."""
    client = await aiohttp_client(create_app(settings))
    response = await client.post("/v1/audio/transcriptions", data=form())
    assert response.status == 404
    assert "--stt" in (await response.json())["error"]["message"]
