"""The header `Expect` of requests."""

from aiohttp import HttpVersion11, hdrs, web

from charhost.text import quoted
from charhost.web.http.problems import Problem

_HELD_BACK = web.RequestKey("body held back", bool)


def with_expectations(route: web.RouteDef) -> web.RouteDef:
    """Return a route that refuses unknown expectations with a problem, and asks for no body before it is read."""
    return web.RouteDef(route.method, route.path, route.handler, {**route.kwargs, "expect_handler": _expect})


async def invite_body(request: web.Request, most: int) -> None:
    """Ask the client for a body that it holds back (RFC 9110, 10.1.1); raise `Problem` for one of more than *most*."""
    if (request.content_length or 0) > most:
        raise too_large(most)
    if not is_held_back(request):
        return
    del request[_HELD_BACK]
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # of the response itself


def is_held_back(request: web.Request) -> bool:
    """Return whether the client waits for the word before it sends its body."""
    return _HELD_BACK in request


def too_large(most: int) -> Problem:
    return Problem(413, "request_too_large", f"The request body is larger than {most:,} bytes.")


async def _expect(request: web.Request) -> web.Response | None:
    expected = request.headers[hdrs.EXPECT]
    if request.version != HttpVersion11:  # where the header means nothing
        return None
    if expected.lower() != "100-continue":
        detail = f"Expect: found {quoted(expected)}, expected 100-continue."
        return Problem(417, "expectation_failed", detail).response(request.path)
    if not request.content.is_eof():
        request[_HELD_BACK] = True
    return None
