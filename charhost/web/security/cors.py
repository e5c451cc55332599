"""Cross-origin resource sharing (Fetch standard, 3.3)."""

from functools import lru_cache

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from charhost.web.http.paths import reads_openai_errors
from charhost.web.security.origins import AllowedOrigins

# Headers that clients in browsers use; browsers hide them from pages by default.
_READABLE = "Retry-After, x-should-retry, X-Messages-Left-Out, X-Messages-Shortened"


class Cors:
    """Lets the pages of the allowed origins read responses; lives as long as the application."""

    def __init__(self, origins: AllowedOrigins) -> None:
        self._origins = origins

    @web.middleware
    async def preflight(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        is_preflight = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if not is_preflight or not _is_open(request.path):
            return await handler(request)
        response = web.Response(status=204)
        if self._allowed(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST, DELETE, OPTIONS"
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "7200"
            if requested := request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = requested
        return response

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the CORS headers to a response of any status; credentials are never allowed."""
        if not _is_open(request.path):
            return
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if allowed := self._allowed(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _READABLE

    def _allowed(self, request: web.Request) -> str | None:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or not self._origins.allow(request):
            return None
        return "*" if self._origins.are_all else origin


@lru_cache(256)
def _is_open(path: str) -> bool:
    """Return whether pages may read the responses of *path*; never those for admins."""
    return reads_openai_errors(path) or path in ("/v1/voices", "/v1/health")
