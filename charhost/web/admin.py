"""Reload, status, health and metrics."""

from __future__ import annotations

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder
from pydantic import ValidationError

from charhost.errors import ReloadRejected, Stopping
from charhost.report import ReloadReport, ReloadRequest
from charhost.web.answers import Health, InProgress, ProblemDocument, RejectedReload, Status
from charhost.web.body import read_body
from charhost.web.keys import CONVERSATIONS, MANAGER, METRICS, SESSIONS, WATCHER
from charhost.web.middleware import admin
from charhost.web.operation import PROBLEM, Answer, Operation, answers_json, described
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
}

_RELOAD = Operation(
    "Replace the character set",
    "Characters",
    description=(
        "The whole directory is loaded beside the running set, and replaces it in one step. Everything in it is "
        "executed. If nothing can be loaded, or the request says so, nothing changes. A caller that goes away does not "
        "stop a reload."
    ),
    needs="admin",
    body=ReloadRequest,
    answers={200: answers_json(ReloadReport, "Done: the set is `applied`, `unchanged`, or `valid` (a dry run).")},
    errors={
        400: Answer(
            "The request is no JSON or has a wrong field (`invalid_request`), or the path is no directory "
            "(`not_a_directory`).",
            {PROBLEM: ProblemDocument | RejectedReload},
        ),
        403: Answer(
            "There is no admin key and the caller is not local (`forbidden`), or the directory cannot be read "
            "(`directory_not_readable`).",
            {PROBLEM: ProblemDocument | RejectedReload},
        ),
        404: Answer("There is no such directory (`directory_not_found`).", {PROBLEM: RejectedReload}),
        408: f"The body was not complete within {BODY_DEADLINE:g} s.",
        413: f"The body has more than {MOST_BODY_BYTES:,} bytes.",
        415: "The body is not declared as `application/json`.",
        422: Answer(
            "The set is refused, and nothing changed: `set_rejected`, `no_characters`, `directory_too_large`, "
            "`isolated_load_failed`.",
            {PROBLEM: RejectedReload},
        ),
        500: Answer("Unexpected (`internal_error`).", {PROBLEM: ProblemDocument | RejectedReload}),
        503: Answer("The server is stopping.", headers={hdrs.RETRY_AFTER: "Seconds."}),
        504: Answer("The load was not finished in time (`load_timeout`).", {PROBLEM: RejectedReload}),
    },
)


@described(_RELOAD)
@admin
async def reload(request: web.Request) -> web.StreamResponse:
    """`POST /v1/characters/reload`"""
    wish = await _reload_request(request)
    try:
        report = await request.app[MANAGER].reload_characters(trigger="http", **dict(wish))
    except ReloadRejected as e:
        raise Problem(_STATUS[e.code], e.code, e.report.message, e.report.model_dump()) from e
    except Stopping as e:
        raise Problem(503, "stopping", str(e), headers={hdrs.RETRY_AFTER: "5"}) from e
    return json_answer(report)


@described(
    Operation(
        "What runs",
        "Operate",
        description="What serves, the last reload, the last error, what is in progress, and sessions by generation.",
        needs="admin",
        answers={200: answers_json(Status, "What runs; never what lies on the disk.")},
    )
)
@admin
async def status(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/status`: what runs, never what lies on disk."""
    manager = request.app[MANAGER]
    running = manager.running
    watcher = request.app[WATCHER]
    return json_answer(
        Status(
            serving=manager.serving,
            last_reload=manager.last_reload,
            last_error=manager.last_error,
            in_progress=InProgress(reload_id=running.reload_id, since=running.started_at) if running else None,
            watcher=watcher.status if watcher else None,
            generations=request.app[SESSIONS].by_generation(),
        )
    )


@described(
    Operation(
        "Whether there is anybody to talk to",
        "Operate",
        answers={200: answers_json(Health, "The server serves; `ok` is false, with a reason, for an empty set.")},
    )
)
async def health(request: web.Request) -> web.StreamResponse:
    """`GET /v1/health`: 200 while the server serves; `ok` is false, with a reason, when there is nobody to talk to."""
    current = request.app[MANAGER].current
    llm = await request.app[CONVERSATIONS].models.state()
    return json_answer(
        Health(
            ok=bool(current),
            characters=len(current),
            generation=current.generation,
            llm=llm,
            stt_up=False,
            tts_up=False,
            llm_up=llm == "up",
            voice_cloning_up=False,
            reason=None if current else "no character is loaded",
        )
    )


@described(
    Operation(
        "Metrics for Prometheus",
        "Operate",
        answers={200: Answer("All metrics.", {"text/plain": str, "application/openmetrics-text": str})},
    )
)
async def metrics(request: web.Request) -> web.StreamResponse:
    """`GET /metrics`, for Prometheus."""
    encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
    body = encode(request.app[METRICS].registry)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


async def _reload_request(request: web.Request) -> ReloadRequest:
    if request.content_type != "application/json":
        found = request.headers.get(hdrs.CONTENT_TYPE, "none")
        raise Problem(415, "unsupported_media_type", f"Expected Content-Type: application/json, found {found}.")
    body = await read_body(request, MOST_BODY_BYTES, BODY_DEADLINE)
    try:
        return ReloadRequest.model_validate_json(body)
    except ValidationError as e:
        raise Problem(400, "invalid_request", "; ".join(_sentence(dict(error)) for error in e.errors())) from e


def _sentence(error: dict[str, object]) -> str:
    where = ".".join(map(str, error["loc"])) if isinstance(error["loc"], tuple) else ""
    if error["type"] == "extra_forbidden":
        known = ", ".join(ReloadRequest.model_fields)
        return f"{where}: there is no such field; known are {known}"
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {text}" if where else text
