"""Reload, rollback, history, status, health and metrics."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, ValidationError

from charhost.errors import NotAttempted, ReloadRejected, Stopping
from charhost.report import ReloadRequest, RollbackRequest, Trigger
from charhost.store import MOST_ATTEMPTS
from charhost.web.body import read_body
from charhost.web.keys import CONVERSATIONS, MANAGER, METRICS, SESSIONS, WATCHER
from charhost.web.middleware import admin
from charhost.web.problem import Problem, json_answer

MOST_BODY_BYTES = 64 << 10
BODY_DEADLINE = 10.0

_STATUS = {
    "directory_not_found": 404,
    "not_a_directory": 400,
    "directory_not_readable": 403,
    "directory_too_large": 422,
    "no_characters": 422,
    "set_rejected": 422,
    "isolated_load_failed": 422,
    "load_timeout": 504,
    "internal_error": 500,
    "revision_mismatch": 412,
    "unknown_generation": 409,
    "directory_not_allowed": 403,
}

_USUAL_ATTEMPTS = 20

Wish = TypeVar("Wish", bound=BaseModel)


@admin
async def reload(request: web.Request) -> web.StreamResponse:
    """`POST /v1/characters/reload`"""
    return await _reload(request, "http", dict(await _wish(request, ReloadRequest)))


@admin
async def rollback(request: web.Request) -> web.StreamResponse:
    """`POST /v1/characters/rollback`: all characters of that generation or, if one of them fails now, no change."""
    wish = await _wish(request, RollbackRequest)
    return await _reload(request, "rollback", dict(wish) | {"on_error": "abort"})


@admin
async def attempts(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/reloads`: the newest first, and the generations that can be rolled back to."""
    limit = request.query.get("limit", str(_USUAL_ATTEMPTS))
    if not re.fullmatch("0*[1-9][0-9]{0,2}", limit, re.ASCII) or int(limit) > MOST_ATTEMPTS:
        raise Problem(400, "invalid_request", f"limit: expected a number from 1 to {MOST_ATTEMPTS}")
    store = request.app[MANAGER].store
    return json_answer({"reloads": await store.attempts(int(limit)), "generations": await store.generations()})


@admin
async def attempt(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/reloads/{reload_id}`"""
    report = await request.app[MANAGER].store.attempt(request.match_info["reload_id"])
    if report is None:
        raise Problem(404, "reload_not_found", "There is no such reload among those that are kept.")
    return json_answer(report)


@admin
async def resume_watch(request: web.Request) -> web.StreamResponse:
    """`POST /v1/characters/watch/resume`"""
    watcher = request.app[WATCHER]
    if watcher is None:
        raise Problem(409, "no_watcher", "Nothing is watched: the server was started without --watch.")
    watcher.resume()
    return json_answer(watcher.status)


@admin
async def status(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/status`: what runs, never what lies on disk."""
    manager = request.app[MANAGER]
    running = manager.running
    watcher = request.app[WATCHER]
    return json_answer(
        {
            "serving": manager.serving,
            "last_reload": manager.last_reload,
            "last_error": manager.last_error,
            "in_progress": running and {"reload_id": running.reload_id, "since": running.started_at},
            "watcher": watcher and watcher.status,
            "generations": request.app[SESSIONS].by_generation(),
        }
    )


async def health(request: web.Request) -> web.StreamResponse:
    """`GET /v1/health`: 200 while the server serves; `ok` is false, with a reason, when there is nobody to talk to."""
    current = request.app[MANAGER].current
    llm = await request.app[CONVERSATIONS].models.state()
    answer = {
        "ok": bool(current),
        "characters": len(current),
        "generation": current.generation,
        "llm": llm,
        "stt_up": False,
        "tts_up": False,
        "llm_up": llm == "up",
        "voice_cloning_up": False,
    }
    return json_answer(answer if current else answer | {"reason": "no character is loaded"})


async def metrics(request: web.Request) -> web.StreamResponse:
    """`GET /metrics`, for Prometheus."""
    encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
    body = encode(request.app[METRICS].registry)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


async def _reload(request: web.Request, trigger: Trigger, fields: dict[str, Any]) -> web.Response:
    try:
        report = await request.app[MANAGER].reload_characters(trigger=trigger, etags=_etags(request), **fields)
    except ReloadRejected as e:
        raise Problem(_STATUS[e.code], e.code, e.report.message, e.report.model_dump()) from e
    except NotAttempted as e:
        raise Problem(_STATUS[e.code], e.code, str(e)) from e
    except Stopping as e:
        raise Problem(503, "stopping", str(e), headers={hdrs.RETRY_AFTER: "5"}) from e
    return json_answer(report)


def _etags(request: web.Request) -> tuple[str, ...] | None:
    """Read `If-Match`, None if any set will do (RFC 9110, section 13.1.1); a weak tag, or none, matches nothing."""
    header = request.headers.get(hdrs.IF_MATCH)
    if header is None or header.strip() == "*":
        return None
    return tuple(etag.value for etag in request.if_match or () if not etag.is_weak)


async def _wish(request: web.Request, kind: type[Wish]) -> Wish:
    if request.content_type != "application/json":
        found = request.headers.get(hdrs.CONTENT_TYPE, "none")
        raise Problem(415, "unsupported_media_type", f"Expected Content-Type: application/json, found {found}.")
    body = await read_body(request, MOST_BODY_BYTES, BODY_DEADLINE)
    try:
        return kind.model_validate_json(body)
    except ValidationError as e:
        sentences = (_sentence(dict(error), ", ".join(kind.model_fields)) for error in e.errors())
        raise Problem(400, "invalid_request", "; ".join(sentences)) from e


def _sentence(error: dict[str, object], known: str) -> str:
    where = ".".join(map(str, error["loc"])) if isinstance(error["loc"], tuple) else ""
    if error["type"] == "extra_forbidden":
        return f"{where}: there is no such field; known are {known}"
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {text}" if where else text
