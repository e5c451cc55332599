"""The body of a request, with an end to its size and to the wait for it."""

import asyncio
from typing import TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from charhost.errors import InvalidRequest
from charhost.jsontext import Json
from charhost.text import FieldProblem, field_problems, quoted
from charhost.web.connections.expectations import invite_body, is_held_back, too_large
from charhost.web.http.problems import Problem
from charhost.web.keys import MEMORY

MOST_BODY_BYTES = 64 << 10
BODY_DEADLINE = 10.0

Request = TypeVar("Request", bound=BaseModel)


async def read_body(request: web.Request, most: int, deadline: float) -> bytes:
    """Read up to *most* bytes within *deadline* seconds; raises `Problem`."""
    body = bytearray()
    await invite_body(request, most)
    try:
        async with asyncio.timeout(None if request.content.is_eof() else deadline):  # without a timer if all is here
            while len(body) <= most and (part := await request.content.readany()):
                take_memory(request, len(part))
                body += part
                if hdrs.CONTENT_ENCODING in request.headers:  # which may be read to its end without a pause
                    await asyncio.sleep(0)
    except TimeoutError:
        raise Problem(408, "request_timeout", f"The request body did not arrive within {deadline:g} s.") from None
    except web.RequestPayloadError:
        detail = "The request body does not match its headers (Content-Encoding, Transfer-Encoding)."
        raise Problem(400, "bad_request", detail) from None
    if len(body) > most:
        raise too_large(most)
    return bytes(body)


def take_memory(request: web.Request, size: int) -> None:
    """Count *size* more bytes until the end of the request; raises `Problem` if the budget of memory has no room."""
    memory = request[MEMORY]
    if not memory.could_ever_hold(size):
        raise Problem(413, "request_too_large", "The request takes more memory than the server has for clients.")
    if not memory.take(size):
        raise no_room()


def no_room() -> Problem:
    detail = "The server has no memory left for this request; try again later."
    return Problem(429, "rate_limit_exceeded", detail, headers={hdrs.RETRY_AFTER: "5"})


async def leave_body(request: web.Request, response: web.StreamResponse) -> None:
    """Close the connection after a response to a request whose body is compressed, or was not asked for.

    The rest of a compressed one is left unread: aiohttp would read it to its end without a pause, and a few bytes of it
    can be a gigabyte.
    """
    if request.content.is_eof():
        return
    if hdrs.CONTENT_ENCODING in request.headers:
        request.content.set_exception(TimeoutError())
    if hdrs.CONTENT_ENCODING in request.headers or is_held_back(request):
        response.headers[hdrs.CONNECTION] = "close"


async def json_body(request: web.Request, kind: type[Request]) -> Request:
    """Read a small body; raises `InvalidRequest` for wrong fields, and `Problem`."""
    expect_json(request)
    return parsed(await read_body(request, MOST_BODY_BYTES, BODY_DEADLINE), kind)


def expect_json(request: web.Request) -> None:
    """Raise a `Problem` if the body is not declared as JSON."""
    expect_media_type(request, "application/json")


def expect_media_type(request: web.Request, expected: str) -> None:
    """Raise a `Problem` if the body is not declared as *expected*."""
    # The property of aiohttp parses the parameters as well, which takes a second for some of 8 KiB, or fails.
    found = request.headers.get(hdrs.CONTENT_TYPE, "none")
    if found.partition(";")[0].strip().lower() != expected:
        raise Problem(415, "unsupported_media_type", f"Expected Content-Type: {expected}, found {found[:200]}.")


def parsed(body: bytes | Json, kind: type[Request]) -> Request:
    """Return the request of that *kind* in JSON; raises `InvalidRequest`, with a sentence for each wrong field."""
    try:
        return kind.model_validate(body) if isinstance(body, dict) else kind.model_validate_json(body)
    except ValidationError as e:
        sentences = (_sentence(problem, ", ".join(kind.model_fields)) for problem in field_problems(e))
        raise InvalidRequest("; ".join(sentences)) from e


def _sentence(problem: FieldProblem, known: str) -> str:
    where = problem.path
    if problem.kind == "extra_forbidden":
        return f"unknown field {where}; expected one of {known}"
    return f"{where}: {problem.text}, found {quoted(problem.found)}" if where else problem.text
