"""Paths of OpenAI's API, in the spellings of its clients."""

import re

from aiohttp import web

_CHAT = "use /v1/chat/completions or /v1/responses"
_THREADS = "use /v1/responses with previous_response_id"
_MODEL_ONLY = "characters only converse; ask the server of a model"
# Paths of OpenAI's that are not served, by their first name, and the advice to a client of theirs.
_UNSERVED = {
    **dict.fromkeys(("completions", "edits"), _CHAT),
    **dict.fromkeys(("assistants", "threads", "conversations"), _THREADS),
    **dict.fromkeys(("embeddings", "moderations", "rerank", "images", "videos"), _MODEL_ONLY),
    **dict.fromkeys(("files", "uploads", "batches", "fine_tuning", "vector_stores"), "send texts in the messages"),
    "audio": "use /v1/audio/speech, /v1/audio/transcriptions or /v1/realtime",
    "engines": "use /v1/models",
}
_OPENAI = re.compile(rf"/v1/(models|chat/completions|responses|realtime|{'|'.join(_UNSERVED)})(/|$)")
_OWN = re.compile(r"/v1/+(characters|sets|voices|health|ready|fleet|events|figures|model)(/|$)")


def canonical(path: str) -> str:
    """Return the path of OpenAI's API that *path* is with `//`, a slash at the end or without `/v1`; else *path*."""
    plain = "/" + "/".join(part for part in path.split("/") if part)
    plain = plain if plain.startswith("/v1/") else f"/v1{plain}"
    return plain if _OPENAI.match(plain) else path


def not_found(path: str) -> str:
    """Return the error for a path that does not exist; for one of OpenAI's it names the path to use instead."""
    found = _OPENAI.match(canonical(path))
    advice = _UNSERVED.get(found[1]) if found else None
    return f"There is nothing at {path}; {advice}." if advice else f"There is nothing at {path}."


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
