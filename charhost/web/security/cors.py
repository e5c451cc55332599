"""Cross-origin resource sharing (Fetch standard, 3.3)."""

import re

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

# Endpoints for pages; admin endpoints are never among them.
_OPEN_PATHS = re.compile(r"/v1/(models(/.*)?|chat/completions|voices|health)", re.DOTALL)
_LOCAL = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)
# Headers that clients in browsers use; browsers hide them from pages by default.
_READABLE = "Retry-After, x-should-retry, X-Messages-Left-Out, X-Messages-Shortened"


class Cors:
    """Allows the given origins, else pages of this machine; lives as long as the application."""

    def __init__(self, origins: str | None) -> None:
        given = (origins or "").split(",")
        self._origins = {origin.strip().rstrip("/").lower() for origin in given if origin.strip()}

    @web.middleware
    async def preflight(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        is_preflight = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if not is_preflight or not _OPEN_PATHS.fullmatch(request.path):
            return await handler(request)
        response = web.Response(status=204)
        if self._allowed(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST, OPTIONS"
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "7200"
            if requested := request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = requested
        return response

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the CORS headers to a response of any status; credentials are never allowed."""
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
