"""The form of a transcription: a sound file, and a few fields."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import collapse_rfc2231_value
from functools import partial
from itertools import islice
from typing import Literal

from aiohttp import hdrs, web
from pydantic import BaseModel, Field

from charhost.web.http.body import expect_media_type, read_body, take_memory
from charhost.web.http.problems import Problem
from charhost.web.keys import OFFLOAD
from charhost.web.openai.request import valid_body

MOST_FILE_BYTES = 25 << 20
_MOST_FIELD_BYTES = 64 << 10
_MOST_HEADER_BYTES = 16 << 10
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
    expect_media_type(request, "multipart/form-data")
    body = await read_body(request, MOST_FILE_BYTES + _MOST_PARTS * _MOST_FIELD_BYTES, _DEADLINE)
    take_memory(request, len(body))  # for its parts, and then for the file on its way to the decoder
    try:
        work = partial(_parts, body, request.headers[hdrs.CONTENT_TYPE])
        parts = await request.app[OFFLOAD].run(len(body), work)
    except ValueError as e:
        raise Problem(400, "invalid_value", f"The body is not a form of several parts: {e}.") from None
    file = parts.pop("file", b"")
    if not file:
        raise Problem(400, "missing_required_parameter", "Missing required parameter: 'file'.", param="file")
    texts = {name: value.decode(errors="replace").strip() for name, value in parts.items()}
    return file, valid_body({name: value for name, value in texts.items() if value}, TranscriptionFields)


def _parts(body: bytes, content_type: str) -> dict[str, bytes]:
    """Return the parts of a form by name (RFC 2046, section 5.1.1); raises `ValueError`, or `Problem` for a long one.

    Of a body that has all arrived, since a reader of a stream goes on as long as there are lines before the first part.
    """
    form = Message()
    form[hdrs.CONTENT_TYPE] = content_type
    boundary = _parameter(form, hdrs.CONTENT_TYPE, "boundary").rstrip()
    if not boundary:
        raise ValueError("Content-Type has no boundary")
    places = list(islice(_places(body, b"\r\n--" + boundary.encode(errors="replace")), _MOST_PARTS + 1))
    if not places or not body.startswith(b"--", places[-1].start):
        raise ValueError(f"it has more than {_MOST_PARTS} parts, or no end")
    return dict(_part(body, place) for place in places[:-1])


def _places(body: bytes, delimiter: bytes) -> Iterator[slice]:
    """Yield the place of each part, so that no part of a large body is copied in vain."""
    at = -2 if body.startswith(delimiter[2:]) else body.find(delimiter)
    while at != -1:
        start = at + len(delimiter)
        at = body.find(delimiter, start)
        yield slice(start, at if at != -1 else len(body))


def _part(body: bytes, place: slice) -> tuple[str, bytes]:
    blank_line = body.find(b"\r\n\r\n", place.start, place.stop)
    if blank_line == -1 or blank_line - place.start > _MOST_HEADER_BYTES:
        raise ValueError("a part has no end of its headers, or too many of them")
    head = BytesHeaderParser().parsebytes(body[place.start : blank_line].lstrip())
    name = _parameter(head, hdrs.CONTENT_DISPOSITION, "name")
    most = MOST_FILE_BYTES if name == "file" else _MOST_FIELD_BYTES
    content = slice(blank_line + 4, place.stop)
    if content.stop - content.start > most:
        raise Problem(413, "request_too_large", f"The part {name[:200]!r} is larger than {most:,} bytes.")
    return name, body[content]


def _parameter(message: Message, header: str, name: str) -> str:
    try:
        return collapse_rfc2231_value(message.get_param(name, "", header))
    except TypeError:  # the library sorts its pieces (RFC 2231, section 3), and cannot compare a number with none
        raise ValueError(f"{header} has {name} both in numbered pieces and whole") from None
