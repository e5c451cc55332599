"""GET /openapi.json, /docs and the pages below it."""

import asyncio
from importlib import resources

from aiohttp import hdrs, web

from charhost.web.docs.api_page import page
from charhost.web.docs.manual import INDEX
from charhost.web.http.operation import Operation, Parameter, Response
from charhost.web.http.problems import Problem, json_response
from charhost.web.keys import API, MANUAL

_ASSETS = {"style.css": "text/css", "page.js": "text/javascript"}
_HEADERS = {
    # A page needs nothing from elsewhere; nothing else may be loaded, and no other page may frame it.
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",
}
_PAGE = Response("The page.", {"text/html": str})


@Operation(
    "This API as an OpenAPI document", "About", responses={200: Response.json(dict[str, object], "OpenAPI 3.1.")}
)
async def openapi(request: web.Request) -> web.StreamResponse:
    return json_response(request.app[API].document)


@Operation("This API as a page", "About", responses={200: _PAGE})
async def api_page(request: web.Request) -> web.StreamResponse:
    return _text(page(request.app[API].document), "text/html")


@Operation("The manual", "About", responses={200: _PAGE}, errors={404: "This installation has no manual."})
async def manual_index(request: web.Request) -> web.StreamResponse:
    return await _manual_page(request, INDEX)


@Operation(
    "A page of the manual",
    "About",
    parameters=(Parameter("page", "path", "The name of a page, or of a style, script or picture that pages need."),),
    responses={200: Response("The page or file.", dict.fromkeys(("text/html", *_ASSETS.values(), "image/png"), str))},
    errors={404: "There is no such page."},
)
async def manual_page(request: web.Request) -> web.StreamResponse:
    name = request.match_info["page"]
    if name in _ASSETS:
        return _text(resources.files("charhost.web.docs").joinpath(name).read_text(encoding="utf-8"), _ASSETS[name])
    if (picture := request.app[MANUAL].picture(name)) is not None:
        return web.Response(body=picture, content_type="image/png", headers=_HEADERS)
    return await _manual_page(request, name)


async def _manual_page(request: web.Request, name: str) -> web.StreamResponse:
    # On a thread: to render a long page takes longer than the event loop should wait.
    html = await asyncio.to_thread(request.app[MANUAL].html, name)
    if html is None:
        raise Problem(404, "not_found", f"There is nothing at {request.path}.")
    return _text(html, "text/html")


def _text(text: str, content_type: str) -> web.Response:
    return web.Response(text=text, content_type=content_type, headers=_HEADERS)
