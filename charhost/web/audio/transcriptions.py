"""POST /v1/audio/transcriptions: the words in a sound file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel, Field

from charhost.jsontext import encoded
from charhost.speech.engines import Engines
from charhost.speech.failure import SpeechError
from charhost.web.audio.errors import AUDIO_ERRORS, no_engine, problem_of
from charhost.web.audio.transcript import Cue, document, subtitles, text_of, usage
from charhost.web.audio.upload import MOST_FILE_BYTES, TranscriptionFields, read_form
from charhost.web.http.body import take_memory
from charhost.web.http.event_stream import EventStream
from charhost.web.http.operation import Operation, Response
from charhost.web.http.problems import Problem
from charhost.web.keys import ENGINES

if TYPE_CHECKING:
    from charhost.speech.segments import Segment

# Files are not urgent, and sessions go first.
_DEADLINE = 120.0


class TranscriptionObject(BaseModel, extra="allow"):
    """A transcript; `verbose_json` has `segments` besides."""

    text: str


class TranscriptEvent(BaseModel):
    """One event of a stream."""

    data: str = Field(description="JSON: `transcript.text.delta`, then `transcript.text.done`.")


@Operation(
    "The words in a sound file, in the shape of OpenAI's audio API",
    "Talk",
    description=(
        f"A form with the `file` (any format of FFmpeg, at most {MOST_FILE_BYTES >> 20} MiB), `language`, `prompt`, "
        "`response_format` (`json`, `text`, `verbose_json`, `srt`, `vtt`) and `stream`. `model` is ignored."
    ),
    needs="chat",
    responses={
        200: Response(
            "The transcript.",
            {"application/json": TranscriptionObject, "text/plain": str, "text/event-stream": TranscriptEvent},
        )
    },
    errors={
        400: "The form has no file, a field is wrong, or the file is no sound.",
        408: "The file did not arrive in time.",
        413: f"The file is larger than {MOST_FILE_BYTES >> 20} MiB, or takes more memory than the server has.",
        415: "The body is not declared as `multipart/form-data`.",
        **AUDIO_ERRORS,
    },
)
async def transcriptions(request: web.Request) -> web.StreamResponse:
    engines = request.app[ENGINES]
    if engines.hearing is None or engines.files is None:
        raise no_engine("--stt")
    file, fields = await read_form(request)
    segments = await _segments(request, file, engines)
    async with aclosing(_cues(engines, segments, fields)) as cues:
        if fields.stream:
            return await _events(request, cues, segments)
        try:
            found = [cue async for cue in cues]
        except SpeechError as e:
            raise problem_of(e, "transcription_failed") from e
    return _whole(found, _length(segments), fields)


async def _segments(request: web.Request, file: bytes, engines: Engines) -> list[Segment]:
    """Return the sound of the file in pieces; raises `Problem`."""
    from charhost.speech.segments import Segmenter  # with numpy, which only a server with a voice has

    assert engines.files is not None
    segmenter, segments = Segmenter(), list[Any]()
    try:
        async with aclosing(engines.files.decoded(file)) as pieces:
            async for pcm in pieces:
                take_memory(request, len(pcm))
                segments += await asyncio.to_thread(segmenter.take, pcm)
    except SpeechError as e:
        if e.error_type != "refused":
            raise problem_of(e, "transcription_failed") from e
        detail = "The file cannot be decoded: send a sound file of at most 30 minutes, such as WAV, MP3 or WebM."
        raise Problem(400, "invalid_value", detail, param="file") from e
    return segments + segmenter.take(b"", last=True)


async def _cues(engines: Engines, segments: list[Segment], fields: TranscriptionFields) -> AsyncGenerator[Cue, None]:
    """Yield the words of each piece; raises `SpeechError`."""
    assert engines.hearing is not None
    listening = engines.hearing.listen(fields.language, fields.prompt)
    try:
        for segment in segments:
            listening.feed(segment.pcm)
            try:
                async with asyncio.timeout(_DEADLINE):
                    transcript = await listening.transcript(final=True)
            except TimeoutError:
                raise SpeechError("timeout", "The engine that hears did not respond in time.") from None
            yield Cue(segment.start, segment.end, transcript.text)
    finally:
        await listening.close()


def _whole(cues: list[Cue], seconds: float, fields: TranscriptionFields) -> web.Response:
    kind = fields.response_format
    if kind == "text":
        return web.Response(text=text_of(cues) + "\n")
    if kind in ("srt", "vtt"):
        return web.Response(text=subtitles(cues, kind))
    found = document(cues, seconds, fields.language, verbose=kind == "verbose_json")
    return web.Response(body=encoded(found), content_type="application/json")


async def _events(request: web.Request, cues: AsyncGenerator[Cue, None], segments: list[Segment]) -> web.StreamResponse:
    text = ""
    async with EventStream(request) as stream:
        try:
            async for cue in cues:
                if cue.text:
                    delta = f" {cue.text}" if text else cue.text
                    text += delta
                    await stream.write(_event({"type": "transcript.text.delta", "delta": delta}))
            done = {"type": "transcript.text.done", "text": text, "usage": usage(_length(segments))}
            await stream.write(_event(done))
        except SpeechError as e:
            error = {"type": "server_error", "code": "transcription_failed", "message": str(e)}
            await stream.write(_event({"type": "error", "error": error}))
        await stream.end()
    return stream.response


def _length(segments: list[Segment]) -> float:
    return segments[-1].end if segments else 0.0


def _event(fields: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % encoded(fields)
