"""The body of a request, with an end to its size and to the wait for it."""

from __future__ import annotations

import asyncio

from aiohttp import web

from charhost.web.problems import Problem


async def read_body(request: web.Request, most: int, deadline: float) -> bytes:
    """Read up to *most* bytes within *deadline* seconds; raises `Problem`."""
    body = bytearray()
    try:
        async with asyncio.timeout(deadline):
            while len(body) <= most and (part := await request.content.readany()):
                body += part
    except TimeoutError:
        raise Problem(408, "request_timeout", f"The body was not complete within {deadline:g} s.") from None
    except web.RequestPayloadError:
        detail = "The body is not what its headers say of it (Content-Encoding, Transfer-Encoding)."
        raise Problem(400, "bad_request", detail) from None
    if len(body) > most:
        raise Problem(413, "request_too_large", f"The body has more than {most:,} bytes.")
    return bytes(body)
