"""The endpoints that reload, roll back and show the history."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import hdrs, web

from charhost.errors import ReloadCode, ReloadRefused, StateError
from charhost.reload.attempt import FromHistory, Source
from charhost.reload.store import MOST_ATTEMPTS
from charhost.report import ReloadRequest, RollbackRequest, Trigger
from charhost.text import quoted
from charhost.web.body import read_body
from charhost.web.keys import MANAGER, WATCHER
from charhost.web.middleware import admin
from charhost.web.openapi.operation import described
from charhost.web.openapi.operations import ATTEMPT, ATTEMPTS, RELOAD, RESUME_WATCH, ROLLBACK, USUAL_ATTEMPTS
from charhost.web.problems import Problem, json_answer
from charhost.web.reload_requests import Request, parsed, problem
from charhost.web.schemas import ReloadHistory

MOST_BODY_BYTES = 64 << 10
BODY_DEADLINE = 10.0


@described(RELOAD)
@admin
async def reload(request: web.Request) -> web.StreamResponse:
    """`POST /v1/characters/reload`"""
    with _refusals():
        return await _reload(request, await _body(request, ReloadRequest), None, "http")


@described(ROLLBACK)
@admin
async def rollback(request: web.Request) -> web.StreamResponse:
    """`POST /v1/characters/rollback`"""
    with _refusals():
        body = await _body(request, RollbackRequest)
        return await _reload(request, body.as_reload, FromHistory(body.generation), "rollback")


@described(ATTEMPTS)
@admin
async def attempts(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/reloads`: the newest first, and the generations that can be restored."""
    limit = request.query.get("limit", str(USUAL_ATTEMPTS))
    if not re.fullmatch("0*[1-9][0-9]{0,2}", limit, re.ASCII) or int(limit) > MOST_ATTEMPTS:
        raise Problem(
            400, "invalid_request", f"limit: expected a number from 1 to {MOST_ATTEMPTS}, found {quoted(limit)}"
        )
    store = request.app[MANAGER].store
    with _readable():
        reloads, generations = await store.attempts(int(limit)), await store.generations()
    return json_answer(ReloadHistory(reloads=reloads, generations=generations))


@described(ATTEMPT)
@admin
async def attempt(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/reloads/{reload_id}`"""
    with _readable():
        report = await request.app[MANAGER].store.attempt(request.match_info["reload_id"])
    if report is None:
        raise Problem(404, "reload_not_found", "No reload with that id is kept.")
    return json_answer(report)


@described(RESUME_WATCH)
@admin
async def resume_watch(request: web.Request) -> web.StreamResponse:
    """`POST /v1/characters/watch/resume`"""
    watcher = request.app[WATCHER]
    if watcher is None:
        raise Problem(409, "no_watcher", "Nothing is watched: the server was started without --watch.")
    watcher.resume()
    return json_answer(watcher.status)


async def _reload(request: web.Request, body: ReloadRequest, source: Source, trigger: Trigger) -> web.Response:
    manager, etags = request.app[MANAGER], _etags(request)
    return json_answer(await manager.reload_characters(body, source, trigger=trigger, etags=etags))


async def _body(request: web.Request, kind: type[Request]) -> Request:
    if request.content_type != "application/json":
        found = request.headers.get(hdrs.CONTENT_TYPE, "none")
        code = ReloadCode.UNSUPPORTED_MEDIA_TYPE
        raise Problem(code.status, code, f"Expected Content-Type: application/json, found {found}.")
    return parsed(await read_body(request, MOST_BODY_BYTES, BODY_DEADLINE), kind)


def _etags(request: web.Request) -> tuple[str, ...] | None:
    """Return the tags of `If-Match`, None if any set matches (RFC 9110, section 13.1.1); a weak tag never does."""
    header = request.headers.get(hdrs.IF_MATCH)
    if header is None or header.strip() == "*":
        return None
    return tuple(etag.value for etag in request.if_match or () if not etag.is_weak)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ReloadRefused as e:
        raise problem(e) from e


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except StateError as e:
        code = ReloadCode.HISTORY_UNAVAILABLE
        raise Problem(code.status, code, f"The history cannot be read: {e}.") from e
