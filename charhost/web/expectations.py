"""The header `Expect` of requests."""

from aiohttp import HttpVersion11, hdrs, web

from charhost.text import quoted
from charhost.web.problems import Problem


def with_expectations(route: web.RouteDef) -> web.RouteDef:
    """Return a route that refuses what it cannot expect with a problem."""
    return web.RouteDef(route.method, route.path, route.handler, {**route.kwargs, "expect_handler": _expect})


async def _expect(request: web.Request) -> web.Response | None:
    """Let a client send its body that waits for the word (RFC 9110, section 10.1.1)."""
    expected = request.headers[hdrs.EXPECT]
    if request.version != HttpVersion11:  # where the header means nothing
        return None
    if expected.lower() != "100-continue":
        detail = f"Expect: found {quoted(expected)}, expected 100-continue."
        return Problem(417, "expectation_failed", detail).response(request.path)
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # of the response itself
    return None
