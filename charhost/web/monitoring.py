"""The endpoints for status and metrics."""

import re

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder

from charhost.errors import SetNotFound
from charhost.loading.character_metrics import END
from charhost.sets.named_set import NamedSet
from charhost.web.caller_view import ONE_SET, reloadable
from charhost.web.http.operation import Operation, Response
from charhost.web.http.problems import json_response
from charhost.web.keys import METRICS, SESSIONS, SETS, SETTINGS
from charhost.web.schemas import InProgress, Status

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
