"""POST /v1/audio/speech: a text in the voice of a character."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any, Literal

from aiohttp import hdrs, web
from pydantic import BaseModel, BeforeValidator, Field

from charhost.jsontext import encoded
from charhost.speech.failure import SpeechError
from charhost.speech.speech import SPOKEN_RATE, Speech, Voice
from charhost.web.audio.errors import AUDIO_ERRORS, no_engine, problem_of
from charhost.web.caller_view import SET, view_of
from charhost.web.http.event_stream import EventStream
from charhost.web.http.operation import Operation, Response
from charhost.web.http.problems import Problem
from charhost.web.keys import ENGINES
from charhost.web.openai.request import TALK_ERRORS, talk_request
from charhost.web.sessions.outbox import abort

_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_FIRST_DEADLINE, _NEXT_DEADLINE = 30.0, 30.0
_MOST_BODY = 1 << 20
# A text without words, such as an emoji, sounds so: a file without any sound is none to most players.
_SILENCE = bytes(SPOKEN_RATE // 10 * 2)


def _name(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else value


class SpeechRequest(BaseModel):
    """The text, and its speaker; other fields are ignored."""

    input: str = Field(min_length=1, max_length=4096, description="The text.")
    voice: Annotated[str | None, BeforeValidator(_name)] = Field(
        None, description="A character, or with `--client-voices` a voice of the engine; others are ignored."
    )
    model: str | None = Field(None, description="A character, if `voice` is none.")
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = Field("mp3", description="The format.")
    stream_format: Literal["audio", "sse"] = Field("audio", description="A file, or server-sent events.")
    speed: float = Field(1.0, ge=0.25, le=4, description="Times the speed of the voice.")


class SpeechEvent(BaseModel):
    """One event of a stream."""

    data: str = Field(description="JSON: `speech.audio.delta` with base64, then `speech.audio.done`.")


@Operation(
    "A text as a character says it, in the shape of OpenAI's audio API",
    "Talk",
    description="`voice` or `model` name the character; for names that are none the default character speaks.",
    needs="chat",
    body=SpeechRequest,
    parameters=(SET,),
    responses={
        200: Response(
            "The sound, as it is made: 24 kHz, mono.",
            {**dict.fromkeys(_TYPES.values(), bytes), "text/event-stream": SpeechEvent},
        )
    },
    errors={**{status: TALK_ERRORS[status] for status in (400, 408, 413, 415)}, **AUDIO_ERRORS},
)
async def speech(request: web.Request) -> web.StreamResponse:
    engine = request.app[ENGINES].speech
    if engine is None:
        raise no_engine("--tts")
    body = await talk_request(request, SpeechRequest, _MOST_BODY)
    voice = await _voice(request, body)
    async with aclosing(_file(engine, body, voice)) as pieces:
        try:
            first = await anext(pieces)
        except SpeechError as e:
            raise problem_of(e, "speech_failed") from e
        if body.stream_format == "sse":
            return await _events(request, first, pieces)
        return await _streamed(request, _TYPES[body.response_format], first, pieces)


async def _voice(request: web.Request, body: SpeechRequest) -> Voice:
    voices, view = request.app[ENGINES].voices, view_of(request)
    assert voices is not None
    named = [name for name in (body.voice, body.model) if name]
    found = next((one for name in named if (one := view.find(name)) is not None), None)
    chosen = voices.named(body.voice) if found is None and body.voice else None
    if chosen is None:
        found = found or view.default()
        if found is None:
            raise Problem(404, "model_not_found", "There is no character that could speak.", param="voice")
        chosen = await voices.of(found.character)
    return replace(chosen, speed=min(max(chosen.speed * body.speed, 0.25), 4))


async def _file(engine: Speech, body: SpeechRequest, voice: Voice) -> AsyncGenerator[bytes, None]:
    """Yield the file piece by piece; raises `SpeechError`."""
    from charhost.speech.encoders import encoder  # with numpy and FFmpeg, which only a server with a voice has

    made = await asyncio.to_thread(encoder, body.response_format)
    deadline, silence = _FIRST_DEADLINE, _SILENCE
    async with aclosing(engine.speak(_once(body.input), voice)) as sounds:
        while True:
            try:
                async with asyncio.timeout(deadline):
                    sound = await anext(sounds, None)
            except TimeoutError:
                raise SpeechError("timeout", "The engine that speaks did not respond in time.") from None
            if pcm := sound.pcm if sound else silence:
                silence = b""
            if data := await asyncio.to_thread(made.encode, pcm, sound is None):
                yield data
            if sound is None:
                return
            deadline = _NEXT_DEADLINE


async def _streamed(
    request: web.Request, kind: str, first: bytes, pieces: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: kind})
    try:
        await response.prepare(request)
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
        await response.write_eof()
    except SpeechError:
        # The headers are out: only a broken connection shows the client that the sound is not whole.
        abort(request)
    except ConnectionError:
        pass  # the client has left
    return response


async def _events(request: web.Request, first: bytes, pieces: AsyncGenerator[bytes, None]) -> web.StreamResponse:
    async with EventStream(request) as stream:
        await stream.write(_delta(first))
        try:
            async for piece in pieces:
                await stream.write(_delta(piece))
            usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
            await stream.write(_event({"type": "speech.audio.done", "usage": usage}))
        except SpeechError as e:
            error = {"type": "server_error", "code": "speech_failed", "message": str(e)}
            await stream.write(_event({"type": "error", "error": error}))
        await stream.end()
    return stream.response


def _delta(data: bytes) -> bytes:
    return _event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})


def _event(fields: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % encoded(fields)


async def _once(text: str) -> AsyncIterator[str]:
    yield text
