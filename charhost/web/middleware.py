"""Around every handler: errors become JSON, and the caller's authority is known."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web

from charhost.text import UNEXPECTED
from charhost.web.keys import AUTHORITY, GATE
from charhost.web.problems import Problem, reads_openai_errors
from charhost.web.security.wrong_keys import KeyKind

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger("charhost.web")


@web.middleware
async def errors_to_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with a problem document; one that nobody foresaw is logged with its traceback."""
    try:
        return await handler(request)
    except Problem as e:
        problem = e
    except web.HTTPException as e:
        if e.status < 400:
            raise
        problem = _as_problem(request, e)
    except Exception:
        # As it was sent: decoded, it may hold line breaks.
        log.exception("%s %s failed unexpectedly", request.method, request.rel_url.raw_path)
        problem = Problem(500, "internal_error", UNEXPECTED)
    return problem.openai_response() if reads_openai_errors(request.path) else problem.response()


@web.middleware
async def with_authority(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Decide the caller's authority once."""
    request[AUTHORITY] = request.app[GATE].authority(request)
    return await handler(request)


def admin(handler: Handler) -> Handler:
    """Let only admins through to *handler*."""
    return _guarded(handler, "admin")


def chat(handler: Handler) -> Handler:
    """Let only those through to *handler* who may talk."""
    return _guarded(handler, "chat")


def insist(request: web.Request, kind: KeyKind) -> None:
    """Raise a `Problem` if the request has no authority of that *kind*; count wrong keys."""
    authority = request[AUTHORITY]
    refusal = authority.refusal if kind == "admin" else authority.chat_refusal
    if refusal is not None:
        request.app[GATE].count_refusal(refusal, authority, kind, request.remote)
        raise refusal


def _guarded(handler: Handler, kind: KeyKind) -> Handler:
    @functools.wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        insist(request, kind)
        return await handler(request)

    return guarded


def _as_problem(request: web.Request, error: web.HTTPException) -> Problem:
    phrase = HTTPStatus(error.status).phrase
    allowed = error.headers.get(hdrs.ALLOW)
    detail = {
        404: f"There is nothing at {request.path}.",
        405: f"{request.path} cannot be asked for with {request.method}, only with {allowed}.",
    }.get(error.status, error.text or phrase)
    headers = {"Allow": allowed} if allowed else None
    return Problem(error.status, re.sub(r"\W+", "_", phrase.lower()), detail, headers=headers)
