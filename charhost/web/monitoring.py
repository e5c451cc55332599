"""The endpoints for status, health and metrics."""

from __future__ import annotations

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder

from charhost.web.keys import AUTHORITY, MANAGER, METRICS, MODELS, SESSIONS, WATCHER
from charhost.web.middleware import admin
from charhost.web.openapi.operation import Answer, Operation, answers_json, described
from charhost.web.problems import json_answer
from charhost.web.schemas import Health, InProgress, Status


@described(
    Operation(
        "The current set, the last reload, the last error, the watcher",
        "Operate",
        description="The current set, the last reload and error, the running reload, and the sessions by generation.",
        needs="admin",
        answers={200: answers_json(Status, "The state of the server; not that of the disk.")},
    )
)
@admin
async def status(request: web.Request) -> web.StreamResponse:
    """`GET /v1/characters/status`"""
    return json_answer(status_of(request.app))


def status_of(app: web.Application) -> Status:
    manager, watcher = app[MANAGER], app[WATCHER]
    running = manager.running
    return Status(
        serving=manager.serving,
        last_reload=manager.last_reload,
        last_error=manager.last_error,
        in_progress=InProgress(reload_id=running.reload_id, since=running.started_at) if running else None,
        watcher=watcher.status if watcher else None,
        generations=app[SESSIONS].by_generation(),
    )


@described(
    Operation(
        "Whether there is a character to talk to",
        "Operate",
        answers={200: answers_json(Health, "The server runs; `ok` is false, with a reason, for an empty set.")},
    )
)
async def health(request: web.Request) -> web.StreamResponse:
    """`GET /v1/health`: 200 while the server runs; `ok` is false, with a reason, for an empty set."""
    current = request.app[MANAGER].current
    llm = await request.app[MODELS].state()
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
            habits=list(request.app[MODELS].habits()) if request[AUTHORITY].admin else None,
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
    """`GET /metrics`"""
    encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
    body = encode(request.app[METRICS].registry)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})
