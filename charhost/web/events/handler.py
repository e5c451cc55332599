"""GET /v1/events and /v1/figures: the server as it works."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web
from pydantic import BaseModel

from charhost.character.character import CharacterSet
from charhost.reload.attempt import Attempt
from charhost.report import ReloadReport
from charhost.web.event_stream import EventStream
from charhost.web.events.figures import Figures
from charhost.web.keys import FEED, FIGURES, MODELS, SESSIONS, SETS
from charhost.web.openapi import Operation, Parameter, Response
from charhost.web.problems import json_response
from charhost.web.schemas import CharactersChanged, ReloadStarted
from charhost.web.sessions.outbox import abort

# A browser's own pause is three seconds.
_RETRY = b"retry: 1000\n\n"


class FigureHistory(BaseModel, frozen=True):
    """Figures of the last hour, ten seconds apart; the oldest first."""

    figures: list[Figures]


@Operation(
    "What happens, as server-sent events",
    "Operate",
    description=(
        "`reload.started`, `reload.ended` (its report) and `characters.changed` have an `id`: a client that comes back "
        "with the `Last-Event-ID` gets what it missed, as far as it is kept. `sessions`, `watcher` and `model` are "
        "sent when they change, and at the beginning; `figures` once a second. "
        "A client that does not read is disconnected."
    ),
    needs="admin",
    parameters=(Parameter("Last-Event-ID", "header", "The `id` of the last event that the client has."),),
    responses={200: Response("The events.", {"text/event-stream": str})},
)
async def events(request: web.Request) -> web.StreamResponse:
    feed, last_id = request.app[FEED], request.headers.get("Last-Event-ID", "")
    with feed.reader(last_id, partial(abort, request)) as reader:
        async with EventStream(request) as stream:
            await stream.write(_RETRY)
            for kind, state in _states(request.app).items():
                feed.show_to(reader, kind, state)
            while data := await reader.read():
                await stream.write(data)
            await stream.end()
    return stream.response


@Operation(
    "The load of the last hour",
    "Operate",
    needs="admin",
    responses={200: Response.json(FigureHistory, "Figures, ten seconds apart.")},
)
async def figures(request: web.Request) -> web.StreamResponse:
    return json_response(FigureHistory(figures=list(request.app[FIGURES].kept)))


async def publishing(app: web.Application) -> AsyncIterator[None]:
    """Publish reloads and states while the application runs."""
    app[SETS].listen(partial(_publish, app), partial(_publish_start, app))
    shown: dict[str, object] = {}
    task = asyncio.create_task(app[FIGURES].run(partial(_show, app, shown)))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _publish_start(app: web.Application, attempt: Attempt, name: str) -> None:
    order = attempt.order
    started = ReloadStarted(
        reload_id=attempt.reload_id,
        set=name,
        trigger=order.trigger,
        directory=attempt.directory,
        since=attempt.started_at,
    )
    app[FEED].publish("reload.started", started)


def _publish(app: web.Application, report: ReloadReport, _: CharacterSet) -> None:
    app[FEED].publish("reload.ended", report)
    if report.outcome == "applied":
        changed = CharactersChanged(
            set=report.set, generation=report.generation, revision=report.revision, changes=report.changes
        )
        app[FEED].publish("characters.changed", changed)


def _show(app: web.Application, shown: dict[str, object], figures: Figures) -> None:
    for kind, state in _states(app).items():
        if shown.get(kind) != state:
            shown[kind] = state
            app[FEED].show(kind, state)
    app[FEED].show("figures", figures)


def _states(app: web.Application) -> dict[str, object]:
    """Return the states that a client is sent at the beginning, and when they change; of the default set."""
    watcher = app[SETS].default.watcher
    return {
        "sessions": app[SESSIONS].by_generation(),
        "watcher": watcher.status.model_copy() if watcher else None,
        "model": app[MODELS].selection.description,
    }
