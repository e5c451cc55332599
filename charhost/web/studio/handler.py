"""GET / and /studio: the studio, or one line of text for other clients than browsers."""

import hashlib
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import NamedTuple

from aiohttp import hdrs, web

from charhost.reload.messages import count
from charhost.web.caller_view import key_view
from charhost.web.operation import Operation, Parameter, Response
from charhost.web.problems import Problem

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Everything comes from this server. No image from elsewhere: its address, in a response, could carry words away.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",
}


class _File(NamedTuple):
    content: bytes
    content_type: str
    etag: str


@Operation(
    "The studio for browsers, one line of text for others",
    "About",
    responses={200: Response("The page, or the line.", {"text/plain": str, "text/html": str})},
)
async def index(request: web.Request) -> web.StreamResponse:
    if "text/html" in request.headers.get(hdrs.ACCEPT, ""):
        response = _respond(request, "index.html")
    else:
        serving = count(sum(len(named.manager.current) for named in key_view(request)), "character")
        response = web.Response(text=f"charhost serves {serving}: see /v1/characters and /v1/health.\n")
    response.headers[hdrs.VARY] = hdrs.ACCEPT
    return response


@Operation(
    "A file of the studio",
    "About",
    parameters=(Parameter("path", "path", "Its path."),),
    responses={200: Response("The file.", dict.fromkeys(_TYPES.values(), str))},
    errors={404: "There is no such file."},
)
async def file(request: web.Request) -> web.StreamResponse:
    return _respond(request, request.match_info["path"])


def _respond(request: web.Request, path: str) -> web.Response:
    found = _files().get(path)
    if found is None:
        raise Problem(404, "not_found", f"There is nothing at {request.path}.")
    headers = {**_HEADERS, hdrs.ETAG: f'"{found.etag}"'}
    if any(tag.value == found.etag for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.content, content_type=found.content_type, charset="utf-8", headers=headers)


@cache
def _files() -> dict[str, _File]:
    found: dict[str, _File] = {}
    folders = [(PurePosixPath(), resources.files("charhost.web.studio"))]
    while folders:
        path, folder = folders.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                folders.append((path / entry.name, entry))
            elif (suffix := PurePosixPath(entry.name).suffix) in _TYPES:
                content = entry.read_bytes()
                digest = hashlib.sha256(content).hexdigest()[:16]
                found[str(path / entry.name)] = _File(content, _TYPES[suffix], digest)
    return found
