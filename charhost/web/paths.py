"""Paths of OpenAI's API, in the spellings of its clients."""

from __future__ import annotations

import re

from aiohttp import web

_OPENAI = re.compile(r"/v1/(models|chat/completions|responses|realtime|audio)(/|$)")
_OWN = re.compile(r"/v1/+(characters|voices|health)(/|$)")


def canonical(path: str) -> str:
    """Return the path of OpenAI's API that *path* is with `//`, a slash at the end or without `/v1`; else *path*."""
    plain = "/" + "/".join(part for part in path.split("/") if part)
    plain = plain if plain.startswith("/v1/") else f"/v1{plain}"
    return plain if _OPENAI.match(plain) else path


def reads_openai_errors(path: str) -> bool:
    """Return whether clients of *path* expect OpenAI's shape: of its API, and of every unknown path below `/v1`."""
    return canonical(path).startswith("/v1/") and not _OWN.match(path)


class OtherSpellings(web.PlainResource):
    """Resolves other spellings of OpenAI's paths to the routes of *router*.

    No redirect: many clients follow none with a POST or a WebSocket.
    """

    def __init__(self, router: web.UrlDispatcher) -> None:
        super().__init__("/")
        self._router = router

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        sent = request.rel_url.raw_path
        path = canonical(sent)
        if path == sent:
            return None, set()
        found = await self._router.resolve(request.clone(rel_url=request.rel_url.with_path(path, encoded=True)))
        error = found.http_exception
        if error is None:
            return found, set()
        return None, error.allowed_methods if isinstance(error, web.HTTPMethodNotAllowed) else set()
