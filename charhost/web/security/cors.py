"""Cors: which pages in browsers may read the answers of this server (Fetch standard, 3.3)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

# What is for pages; what is for admins never is.
_OPEN_PATHS = re.compile(r"/v1/(models(/.*)?|chat/completions|voices|health)", re.DOTALL)
_LOCAL = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)
_METHODS = "GET, POST, OPTIONS"
_MAX_AGE = "7200"
# What OpenAI's clients in browsers want to know of a refusal; a page may read few other headers.
_READABLE = "Retry-After, x-should-retry"


class Cors:
    """Knows the origins whose pages may call: those given, else pages of this machine."""

    def __init__(self, origins: str | None) -> None:
        given = (origins or "").split(",")
        self._origins = {origin.strip().rstrip("/").lower() for origin in given if origin.strip()}

    @web.middleware
    async def preflight(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer a browser that asks before it sends what a page wants sent."""
        asks = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if not asks or not _OPEN_PATHS.fullmatch(request.path):
            return await handler(request)
        answer = web.Response(status=204)
        if self._allowed(request):
            answer.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = _METHODS
            answer.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _MAX_AGE
            if wanted := request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
                answer.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = wanted
        return answer

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Say on an answer, whatever its status, whose page may read it; never with credentials."""
        if not _OPEN_PATHS.fullmatch(request.path):
            return
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if allowed := self._allowed(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _READABLE

    def _allowed(self, request: web.Request) -> str | None:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return None
        if "*" in self._origins:
            return "*"
        known = origin.lower() in self._origins if self._origins else _LOCAL.fullmatch(origin)
        return origin if known else None
