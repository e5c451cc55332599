"""The endpoints for status, health and metrics."""

import re

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder

from charhost.errors import SetNotFound
from charhost.loading.character_metrics import END
from charhost.sets.named_set import NamedSet
from charhost.web.caller_view import ONE_SET, key_view, reloadable
from charhost.web.http.operation import Operation, Response
from charhost.web.http.problems import json_response
from charhost.web.keys import AUTHORITY, FLEET, METRICS, MODELS, SESSIONS, SETS, SETTINGS
from charhost.web.schemas import Health, InProgress, Ready, Status
from charhost.web.voice import engine_health

_NO_VERSION = re.compile(r"version=(?!\d{1,3}(\.\d{1,3}){2}\s*([;,]|$))[^;,]*", re.ASCII)


@Operation(
    "The current set, the last reload, the last error, the watcher",
    "Operate",
    description="The current set, the last reload and error, the running reload, and the sessions by generation.",
    needs="admin",
    parameters=(ONE_SET,),
    responses={200: Response.json(Status, "The state of the set; not that of the disk.")},
    errors={404: SetNotFound.code.meaning},
)
async def status(request: web.Request) -> web.StreamResponse:
    return json_response(status_of(request.app, reloadable(request)))


def status_of(app: web.Application, named: NamedSet) -> Status:
    manager, watcher = named.manager, named.watcher
    running = manager.running
    return Status(
        set=named.name,
        serving=manager.serving,
        last_reload=manager.last_reload,
        last_error=manager.last_error,
        in_progress=InProgress(reload_id=running.reload_id, since=running.started_at) if running else None,
        watcher=watcher.status if watcher else None,
        generations=app[SESSIONS].by_generation(named.name),
        state_file=app[SETTINGS].state is not None,
        left_out=manager.disk.omissions if manager.disk else (),
        left_running=manager.left_running,
    )


@Operation(
    "Whether there is a character to talk to",
    "Operate",
    responses={200: Response.json(Health, "The server runs; `ok` is false, with a reason, for an empty set.")},
)
async def health(request: web.Request) -> web.StreamResponse:
    characters = [found.manager.current for found in key_view(request)]
    authority, models = request[AUTHORITY], request.app[MODELS]
    # A monitor without a key wants to know about the server, not about the view of every key.
    is_ok = any(characters) if authority.chat else any(named.manager.current for named in request.app[SETS])
    llm, membership = await models.state(), request.app.get(FLEET)
    found = Health(
        ok=is_ok,
        characters=sum(map(len, characters)),
        generation=characters[0].generation if characters else 0,
        llm=llm,
        llm_up=llm == "up",
        **await engine_health(request.app),
        reason=None if is_ok else "no character is loaded",
        fleet=membership.state if membership is not None else None,
        habits=(models.habits() or None) if authority.admin else None,
        model=models.selection.description if authority.admin else None,
    )
    return json_response(found)


@Operation(
    "Whether a load balancer may send clients here",
    "Operate",
    responses={
        200: Response.json(Ready, "It may."),
        503: Response.json(Ready, "It may not: the server is starting or leaving, is empty, or follows no fleet."),
    },
)
async def ready(request: web.Request) -> web.StreamResponse:
    why = _why_not_ready(request.app)
    return json_response(Ready(ready=why is None, reason=why), 200 if why is None else 503)


def _why_not_ready(app: web.Application) -> str | None:
    if app[SESSIONS].closing:
        return "leaving"
    membership = app.get(FLEET)
    if membership is not None and (why := membership.why_not_ready) is not None:
        return why
    return None if any(named.manager.current for named in app[SETS]) else "empty"


@Operation(
    "Metrics for Prometheus",
    "Operate",
    responses={200: Response("All metrics.", {"text/plain": str, "application/openmetrics-text": str})},
)
async def metrics(request: web.Request) -> web.StreamResponse:
    # The encoder fails at other versions.
    encode, content_type = choose_encoder(_NO_VERSION.sub("", request.headers.get(hdrs.ACCEPT, "")))
    theirs = await request.app[SETS].collect_metrics(encode)
    ours = encode(request.app[METRICS].registry)
    end = END if ours.endswith(END) else b""
    return web.Response(body=ours.removesuffix(END) + theirs + end, headers={hdrs.CONTENT_TYPE: content_type})
