"""Reload, rollback, history, status, health and metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import hdrs, web

from charhost.errors import StateError
from charhost.reload.store import MOST_ATTEMPTS
from charhost.report import ReloadReport, ReloadRequest, RollbackRequest, Trigger
from charhost.text import quoted
from charhost.watch.watcher import WatcherStatus
from charhost.web.body import read_body
from charhost.web.keys import MANAGER, WATCHER
from charhost.web.middleware import admin
from charhost.web.openapi.operation import PROBLEM, Answer, Operation, Parameter, answers_json, described
from charhost.web.problems import Problem, json_answer
from charhost.web.reload_requests import Body, reload_characters, wish_in
from charhost.web.schemas import ProblemDocument, RejectedReload, ReloadHistory

MOST_BODY_BYTES = 64 << 10
BODY_DEADLINE = 10.0

_USUAL_ATTEMPTS = 20

_IF_MATCH = Parameter("If-Match", "header", "The `ETag` of the set that is to be replaced; another one is left alone.")
_REFUSED: dict[int, str | Answer] = {
    403: Answer(
        "There is no admin key and the caller is not local (`forbidden`), the directory is not below an allowed root "
        "(`directory_not_allowed`), or it cannot be read (`directory_not_readable`).",
        {PROBLEM: ProblemDocument | RejectedReload},
    ),
    404: Answer("There is no such directory (`directory_not_found`).", {PROBLEM: RejectedReload}),
    408: f"The body was not complete within {BODY_DEADLINE:g} s.",
    412: "Another set serves than `If-Match` names (`revision_mismatch`).",
    413: f"The body has more than {MOST_BODY_BYTES:,} bytes.",
    415: "The body is not declared as `application/json`.",
    422: Answer(
        "The set is refused, and nothing changed: `set_rejected`, `no_characters`, `directory_too_large`, "
        "`isolated_load_failed`.",
        {PROBLEM: RejectedReload},
    ),
    500: Answer("Unexpected (`internal_error`).", {PROBLEM: ProblemDocument | RejectedReload}),
    503: Answer(
        "The server is stopping (`stopping`), or what a rollback needs cannot be read (`history_unavailable`).",
        headers={hdrs.RETRY_AFTER: "Seconds, if it is stopping."},
    ),
    504: Answer("The load was not finished in time (`load_timeout`).", {PROBLEM: RejectedReload}),
}
_RELOAD = Operation(
    "Load a directory",
    "Characters",
    description=(
        "The whole directory is loaded beside the running set, and replaces it in one step. Everything in it is "
        "executed. If nothing can be loaded, or the request says so, nothing changes. A caller that goes away does not "
        "stop a reload."
    ),
    needs="admin",
    body=ReloadRequest,
    parameters=(_IF_MATCH,),
    answers={200: answers_json(ReloadReport, "Done: the set is `applied`, `unchanged`, or `valid` (a dry run).")},
    errors={
        400: Answer(
            "The request is no JSON or has a wrong field (`invalid_request`), or the path is no directory "
            "(`not_a_directory`).",
            {PROBLEM: ProblemDocument | RejectedReload},
        ),
        **_REFUSED,
    },
)
_ROLLBACK = Operation(
    "Restore an earlier generation",
    "Characters",
    description=(
        "The characters of that generation are made again from the bytes that they were made of, whatever has become "
        "of their directory; that is a new generation. Either all of them are back or nothing changes. A watcher "
        "leaves it alone until the disk changes again."
    ),
    needs="admin",
    body=RollbackRequest,
    parameters=(_IF_MATCH,),
    answers={200: answers_json(ReloadReport, "Done.")},
    errors={
        400: Answer(
            "The request is no JSON or has a wrong field (`invalid_request`).",
            {PROBLEM: ProblemDocument | RejectedReload},
        ),
        409: "That generation is not, or no longer, among those that are kept (`unknown_generation`).",
        **_REFUSED,
    },
)
_UNAVAILABLE = "The state file cannot be read (`history_unavailable`)."
_ATTEMPTS = Operation(
    "The history of reloads",
    "Operate",
    description="Failed attempts too, the newest first, and the generations that can be rolled back to.",
    needs="admin",
    parameters=(
        Parameter(
            "limit",
            "query",
            "How many.",
            schema={"type": "integer", "minimum": 1, "maximum": MOST_ATTEMPTS, "default": _USUAL_ATTEMPTS},
        ),
    ),
    answers={200: answers_json(ReloadHistory, "The history.")},
    errors={400: "The limit is no number from 1 to 100 (`invalid_request`).", 503: _UNAVAILABLE},
)
_ATTEMPT = Operation(
    "The report of one reload",
    "Operate",
    needs="admin",
    parameters=(Parameter("reload_id", "path", "Its `reload_id`.", required=True),),
    answers={200: answers_json(ReloadReport, "What it reported.")},
    errors={404: "There is no such reload among those that are kept (`reload_not_found`).", 503: _UNAVAILABLE},
)
_RESUME_WATCH = Operation(
    "Watch the directory again after a rollback",
    "Operate",
    description="What lies on the disk is compared at once with what serves, and loaded if it differs.",
    needs="admin",
    answers={200: answers_json(WatcherStatus, "The watcher.")},
    errors={409: "Nothing is watched (`no_watcher`)."},
)


@described(_RELOAD)
@admin
async def reload(request: web.Request) -> web.StreamResponse:
    """`POST /v1/characters/reload`"""
    return await _reload(request, "http", dict(await _wish(request, ReloadRequest)))


@described(_ROLLBACK)
@admin
async def rollback(request: web.Request) -> web.StreamResponse:
    """`POST /v1/characters/rollback`: all characters of that generation or, if one of them fails now, no change."""
    wish = await _wish(request, RollbackRequest)
    return await _reload(request, "rollback", dict(wish) | {"on_error": "abort"})


@described(_ATTEMPTS)
@admin
async def attempts(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/reloads`: the newest first, and the generations that can be rolled back to."""
    limit = request.query.get("limit", str(_USUAL_ATTEMPTS))
    if not re.fullmatch("0*[1-9][0-9]{0,2}", limit, re.ASCII) or int(limit) > MOST_ATTEMPTS:
        raise Problem(
            400, "invalid_request", f"limit: expected a number from 1 to {MOST_ATTEMPTS}, found {quoted(limit)}"
        )
    store = request.app[MANAGER].store
    with _readable():
        reloads, generations = await store.attempts(int(limit)), await store.generations()
    return json_answer(ReloadHistory(reloads=reloads, generations=generations))


@described(_ATTEMPT)
@admin
async def attempt(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/reloads/{reload_id}`"""
    with _readable():
        report = await request.app[MANAGER].store.attempt(request.match_info["reload_id"])
    if report is None:
        raise Problem(404, "reload_not_found", "There is no such reload among those that are kept.")
    return json_answer(report)


@described(_RESUME_WATCH)
@admin
async def resume_watch(request: web.Request) -> web.StreamResponse:
    """`POST /v1/characters/watch/resume`"""
    watcher = request.app[WATCHER]
    if watcher is None:
        raise Problem(409, "no_watcher", "Nothing is watched: the server was started without --watch.")
    watcher.resume()
    return json_answer(watcher.status)


async def _reload(request: web.Request, trigger: Trigger, fields: dict[str, Any]) -> web.Response:
    manager = request.app[MANAGER]
    return json_answer(await reload_characters(manager, trigger, etags=_etags(request), **fields))


def _etags(request: web.Request) -> tuple[str, ...] | None:
    """Read `If-Match`, None if any set will do (RFC 9110, section 13.1.1); a weak tag, or none, matches nothing."""
    header = request.headers.get(hdrs.IF_MATCH)
    if header is None or header.strip() == "*":
        return None
    return tuple(etag.value for etag in request.if_match or () if not etag.is_weak)


@contextmanager
def _readable() -> Iterator[None]:
    """Tell an admin that the history cannot be read, and why."""
    try:
        yield
    except StateError as e:
        raise Problem(503, "history_unavailable", f"The history cannot be read: {e}.") from e


async def _wish(request: web.Request, kind: type[Body]) -> Body:
    if request.content_type != "application/json":
        found = request.headers.get(hdrs.CONTENT_TYPE, "none")
        raise Problem(415, "unsupported_media_type", f"Expected Content-Type: application/json, found {found}.")
    return wish_in(await read_body(request, MOST_BODY_BYTES, BODY_DEADLINE), kind)
