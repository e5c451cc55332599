"""Around every handler: errors become JSON, and the caller's authority is known."""

import logging
import re
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from charhost.errors import EngineError, ReloadRefused
from charhost.logs.line_limit import limited
from charhost.web.http.later import load
from charhost.web.http.operation import operation_of
from charhost.web.http.paths import not_found
from charhost.web.http.problems import Problem, unreachable
from charhost.web.keys import AUTHORITY, BUDGET, GATE, MEMORY
from charhost.web.security.wrong_keys import KeyKind

log = logging.getLogger("charhost.web")

_LONGEST_PATH = 200


@web.middleware
async def errors_to_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return every error as a problem document; an unexpected one is logged with its traceback."""
    # No error is kept in a variable: its traceback has this frame, and would hold the body of the request in a cycle.
    try:
        return await handler(request)
    except Problem as e:
        return e.response(request.path)
    except ReloadRefused as e:
        return Problem.of(e).response(request.path)
    except web.HTTPException as e:
        if e.status < 400:
            raise
        return _as_problem(request, e).response(request.path)
    except Exception:
        # As it was sent: decoded, it may hold line breaks.
        log.exception("%s %s failed unexpectedly", request.method, request.rel_url.raw_path, extra=limited())
        return Problem.unexpected().response(request.path)


@web.middleware
async def with_memory(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the memory that a request takes until its end."""
    with request.app[BUDGET].holding("requests") as request[MEMORY]:
        return await handler(request)


@web.middleware
async def with_authority(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Decide the caller's authority once, and refuse a caller without the right that the operation needs."""
    operation = operation_of(await load(request.match_info.handler))
    needs, gate = operation.needs if operation is not None else "open", request.app[GATE]
    if needs == "chat":
        try:
            await gate.recall(request)
        except EngineError as e:
            raise unreachable() from e
    authority = request[AUTHORITY] = gate.authority(request)
    if needs == "admin" and not _is_spelled_out(request):
        # Proxies wall the paths of admins off by their spelling.
        raise Problem(404, "not_found", not_found(request.raw_path.partition("?")[0]))
    if needs != "admin" and authority.host_refusal is not None:
        _log_refusal(request, authority.host_refusal)
        raise authority.host_refusal
    if operation is not None and needs != "open" and not operation.refuses:
        insist(request, needs)
    return await handler(request)


def insist(request: web.Request, kind: KeyKind) -> None:
    """Raise a `Problem` if the request has no authority of that *kind*; count wrong keys."""
    authority = request[AUTHORITY]
    refusal = authority.refusal if kind == "admin" else authority.chat_refusal
    if refusal is None:
        return
    if refusal.status != 401:
        _log_refusal(request, refusal)
    elif authority.has_wrong_key:
        request.app[GATE].wrong_keys.count(kind, request.remote)
    raise refusal


def _is_spelled_out(request: web.Request) -> bool:
    """Return whether the fixed parts of the path were sent without escapes."""
    resource, sent = request.match_info.route.resource, request.raw_path.partition("?")[0]
    path = resource.canonical if resource is not None else ""
    return sent == path or re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(path)), sent) is not None


def _log_refusal(request: web.Request, refusal: Problem) -> None:
    # Also for the operator: a page cannot read why its WebSocket was refused.
    path = request.rel_url.raw_path[:_LONGEST_PATH]
    request.app[GATE].refusals.info(refusal.code, "refused %s %s: %s", request.method[:20], path, refusal.detail)


def _as_problem(request: web.Request, error: web.HTTPException) -> Problem:
    phrase = HTTPStatus(error.status).phrase
    allowed = error.headers.get(hdrs.ALLOW, "")
    detail = {
        404: not_found(request.path),
        405: f"{request.method} is not allowed on {request.path}; use {allowed.replace(',', ' or ')}.",
    }.get(error.status, error.text or phrase)
    headers = {"Allow": allowed} if allowed else None
    return Problem(error.status, re.sub(r"\W+", "_", phrase.lower()), detail, headers=headers)
