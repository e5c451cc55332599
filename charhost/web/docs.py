"""GET /openapi.json, /docs and what belongs to that page."""

from __future__ import annotations

from importlib import resources

from aiohttp import hdrs, web

from charhost.web.keys import API
from charhost.web.openapi.operation import Answer, Operation, Parameter, answers_json, described
from charhost.web.openapi.page import page
from charhost.web.problems import Problem, json_answer

_ASSETS = {"style.css": "text/css", "page.js": "text/javascript"}
_HEADERS = {
    # All that the page needs comes from here; nothing else may be loaded, and nobody may frame it.
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",
}


@described(
    Operation("This document", "About", answers={200: answers_json(dict[str, object], "OpenAPI 3.1.")}),
)
async def openapi(request: web.Request) -> web.StreamResponse:
    """`GET /openapi.json`"""
    return json_answer(request.app[API].document)


@described(Operation("This document, as a page", "About", answers={200: Answer("The page.", {"text/html": str})}))
async def docs(request: web.Request) -> web.StreamResponse:
    """`GET /docs`: works without JavaScript."""
    return web.Response(text=page(request.app[API].document), content_type="text/html", headers=_HEADERS)


@described(
    Operation(
        "What belongs to that page",
        "About",
        parameters=(Parameter("file", "path", "`style.css` or `page.js`."),),
        answers={200: Answer("The file.", dict.fromkeys(_ASSETS.values(), str))},
        errors={404: "There is no such file."},
    )
)
async def asset(request: web.Request) -> web.StreamResponse:
    """`GET /docs/{file}`"""
    name = request.match_info["file"]
    if name not in _ASSETS:
        raise Problem(404, "not_found", f"There is nothing at {request.path}.")
    text = resources.files("charhost.web.openapi").joinpath(name).read_text(encoding="utf-8")
    return web.Response(text=text, content_type=_ASSETS[name], headers=_HEADERS)
