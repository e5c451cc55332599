"""GET / and /studio: the studio, or one line of text for other clients than browsers."""

from aiohttp import hdrs, web

from charhost.reload.messages import count
from charhost.web.caller_view import key_view
from charhost.web.http.operation import Operation, Parameter, Response
from charhost.web.http.problems import Problem
from charhost.web.studio.files import TYPES, StudioFile, files, page, revision, split

# Everything comes from this server. No image from elsewhere: its address, in a response, could carry words away.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_ASK_AGAIN, _KEEP = "no-cache", "max-age=31536000, immutable"


@Operation(
    "The studio for browsers, one line of text for others",
    "About",
    responses={200: Response("The page, or the line.", {"text/plain": str, "text/html": str})},
)
async def index(request: web.Request) -> web.StreamResponse:
    if "text/html" in request.headers.get(hdrs.ACCEPT, ""):
        response = _respond(request, page(), _ASK_AGAIN)
    else:
        serving = count(sum(len(named.manager.current) for named in key_view(request)), "character")
        response = web.Response(text=f"charhost serves {serving}: see /v1/characters and /v1/health.\n")
    response.headers[hdrs.VARY] = hdrs.ACCEPT
    return response


@Operation(
    "A file of the studio",
    "About",
    parameters=(Parameter("path", "path", "Its path."),),
    responses={200: Response("The file.", dict.fromkeys(TYPES.values(), str))},
    errors={404: "There is no such file."},
)
async def file(request: web.Request) -> web.StreamResponse:
    named, path = split(request.match_info["path"])
    found = files().get(path)
    if found is None:
        raise Problem(404, "not_found", f"There is nothing at {request.path}.")
    # A page that another version of the server has sent gets the file as it is now, and must not keep it.
    return _respond(request, found, _KEEP if named == revision() else _ASK_AGAIN)


def _respond(request: web.Request, file: StudioFile, caching: str) -> web.Response:
    headers = {**_HEADERS, hdrs.ETAG: f'"{file.etag}"', hdrs.CACHE_CONTROL: caching}
    if any(tag.value == file.etag for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.content, content_type=file.content_type, charset="utf-8", headers=headers)
