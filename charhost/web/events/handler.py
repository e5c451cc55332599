"""GET /v1/events and /v1/figures: the server as it works."""

from functools import partial

from aiohttp import hdrs, web
from pydantic import BaseModel, Field

from charhost.web.events.figures import Figures
from charhost.web.events.publishing import states
from charhost.web.http.event_stream import EventStream
from charhost.web.http.operation import Operation, Parameter, Response
from charhost.web.http.problems import json_response
from charhost.web.keys import FEED, FIGURES
from charhost.web.sessions.outbox import abort

# A browser's own pause is three seconds.
_RETRY = b"retry: 1000\n\n"


class FigureHistory(BaseModel, frozen=True):
    """Figures of the last hour, ten seconds apart; the oldest first."""

    figures: list[Figures]


class FeedEvent(BaseModel):
    """One event of the stream."""

    event: str = Field(description="The kind of the event.")
    data: str = Field(description="JSON, by the kind of the event.")
    id: str | None = Field(None, description="Of events that are kept for clients that come back.")


@Operation(
    "What happens, as server-sent events",
    "Operate",
    description=(
        "`reload.started`, `reload.ended` (its report) and `characters.changed` have an `id`: a client that comes back "
        "with the `Last-Event-ID` gets what it missed, as far as it is kept. `sets`, `sessions`, `watcher` "
        "and `model` are sent when they change, and at the beginning; `figures` once a second. "
        "A client that does not read is disconnected."
    ),
    needs="admin",
    parameters=(Parameter("Last-Event-ID", "header", "The `id` of the last event that the client has."),),
    responses={200: Response("The events.", {"text/event-stream": FeedEvent})},
)
async def events(request: web.Request) -> web.StreamResponse:
    if request.method == hdrs.METH_HEAD:
        return web.Response(content_type="text/event-stream")
    feed, last_id = request.app[FEED], request.headers.get("Last-Event-ID", "")
    feed.show_changes(states(request.app))
    with feed.reader(last_id, partial(abort, request)) as reader:
        async with EventStream(request) as stream:
            await stream.write(_RETRY)
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
