"""The form of a transcription: a sound file, and a few fields."""

from __future__ import annotations

import asyncio
from typing import Literal

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http import HttpProcessingError
from pydantic import BaseModel, Field

from charhost.web.body import take_memory
from charhost.web.expectations import invite_body
from charhost.web.problems import Problem
from charhost.web.talk import valid_body

MOST_FILE_BYTES = 25 << 20
_MOST_FIELD_BYTES = 64 << 10
_MOST_PARTS = 32
_DEADLINE = 60.0

TextFormat = Literal["json", "text", "verbose_json", "srt", "vtt"]


class TranscriptionFields(BaseModel):
    """The fields beside the file; others are ignored."""

    model: str | None = Field(None, description="Any: the server has one engine that hears.")
    language: str | None = Field(None, max_length=20, description="A code such as `en`.")
    prompt: str = Field("", max_length=4096, description="Text whose words are likely.")
    response_format: TextFormat = Field("json", description="The format of the transcript.")
    stream: bool = Field(False, description="Send each part as soon as it is understood.")


async def read_form(request: web.Request) -> tuple[bytes, TranscriptionFields]:
    """Read the file and the fields within their limits; raises `Problem`."""
    if not request.content_type.startswith("multipart/"):
        found = request.headers.get(hdrs.CONTENT_TYPE, "none")
        raise Problem(
            415, "unsupported_media_type", f"Expected Content-Type: multipart/form-data, found {found[:200]}."
        )
    await invite_body(request, MOST_FILE_BYTES + _MOST_PARTS * _MOST_FIELD_BYTES)
    try:
        async with asyncio.timeout(_DEADLINE):
            parts = await _parts(request)
    except TimeoutError:
        raise Problem(408, "request_timeout", f"The file did not arrive within {_DEADLINE:g} s.") from None
    except (ValueError, AssertionError, HttpProcessingError, web.RequestPayloadError) as e:
        raise Problem(400, "invalid_value", "The body is not a form of several parts.") from e
    file = parts.pop("file", b"")
    if not file:
        raise Problem(400, "missing_required_parameter", "Missing required parameter: 'file'.", param="file")
    texts = {name: value.decode(errors="replace").strip() for name, value in parts.items()}
    return file, valid_body({name: value for name, value in texts.items() if value}, TranscriptionFields)


async def _parts(request: web.Request) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or len(found) >= _MOST_PARTS:
            raise ValueError("a form within a form, or too many parts")
        name = part.name or ""
        found[name] = await _content(request, part, MOST_FILE_BYTES if name == "file" else _MOST_FIELD_BYTES)
    return found


async def _content(request: web.Request, part: BodyPartReader, most: int) -> bytes:
    content = bytearray()
    while piece := await part.read_chunk():
        content += piece
        take_memory(request, len(piece))
        if len(content) > most:
            raise Problem(413, "request_too_large", f"The part {part.name!r} is larger than {most:,} bytes.")
    return bytes(content)
