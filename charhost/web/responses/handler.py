"""/v1/responses: OpenAI's Responses API."""

import logging
from contextlib import aclosing
from functools import partial

from aiohttp import web
from pydantic import BaseModel, Field

from charhost.conversation.continued import Client
from charhost.conversation.turn_events import RequestReady
from charhost.logs.line_limit import limited
from charhost.web.catalog import known_character
from charhost.web.http.event_stream import EventStream
from charhost.web.http.operation import Operation, Parameter, Response
from charhost.web.http.problems import Problem, json_response
from charhost.web.keys import AUTHORITY, CHAINS, CONTINUED, CONVERSATIONS, MODEL_OPTIONS, RUNNING, SETTINGS
from charhost.web.openai.request import (
    CUT_HEADERS,
    TALK_ERRORS,
    conversation_id,
    cut_headers,
    prepared,
    problem_of,
    talk_request,
)
from charhost.web.openai.server_calls import are_visible
from charhost.web.responses.chains import StoredResponse
from charhost.web.responses.events import StreamEvents
from charhost.web.responses.input_items import input_fields
from charhost.web.responses.request import ResponsesRequest
from charhost.web.responses.running_response import Asked, RunningResponse, previous_response

log = logging.getLogger("charhost.web")

_ID = Parameter("id", "path", "The id of a response, such as resp_….")
_NOT_FOUND = {
    404: "There is no response with that id, or it belongs to another key (`response_not_found`).",
    503: "The engine of the fleet, which may have it, cannot be reached (`fleet_unreachable`).",
}


class ResponseObject(BaseModel, extra="allow"):
    """A response in OpenAI's shape."""

    id: str
    status: str
    output: list[dict[str, object]] = Field(description="Messages of the character and calls of the client's tools.")


class ResponsesEvent(BaseModel):
    """One event of a stream."""

    event: str = Field(description="Such as `response.output_text.delta`.")
    data: str = Field(description="JSON, as in OpenAI's Responses API.")


@Operation(
    "One response of a character, in the shape of OpenAI's Responses API",
    "Talk",
    description=(
        "Text in and out, function tools, streaming. With `store` (the default) the response is kept, and a later "
        "request goes on from it with `previous_response_id`, also after a reload. Unknown fields are ignored."
    ),
    needs="chat",
    body=ResponsesRequest,
    responses={
        200: Response(
            "The response; with `stream` as server-sent events.",
            {"application/json": ResponseObject, "text/event-stream": ResponsesEvent},
            CUT_HEADERS,
        )
    },
    errors=TALK_ERRORS,
)
async def create(request: web.Request) -> web.StreamResponse:
    body = await talk_request(request, ResponsesRequest)
    found = known_character(request, body.model)
    app, authority = request.app, request[AUTHORITY]
    client = Client(authority.owner, found.name, conversation_id(request, body.metadata), found.set)
    if body.previous_response_id is not None:
        await app[CHAINS].recall(body.previous_response_id, authority.owner)
    more, previous = app[MODEL_OPTIONS].of(body.model_extra), previous_response(app[CHAINS], body, authority.owner)
    asked = await prepared(request, partial(Asked.of, body, previous, more))
    # Looked up after the last wait: a reload may have come meanwhile.
    conversations, character = app[CONVERSATIONS], known_character(request, body.model).character
    with app[CONTINUED].claim(client, asked.dialogue, lambda: conversations.instance(character)) as claim:
        history = await prepared(request, partial(asked.history, claim))
        # A chain goes on with the present version of its character.
        instance = claim.instance if claim.instance.character is character else None
        conversation = conversations.open(character, "responses", history=history, instance=instance)
        shows_reasoning = app[SETTINGS].reasoning == "forward"
        running = RunningResponse(app[CHAINS], app[RUNNING], conversation, asked, claim, client, shows_reasoning)
        shows_calls = are_visible(body.metadata, authority.admin)
        return await (_streamed(request, running, shows_calls) if body.stream else _whole(running, shows_calls))


@Operation(
    "A stored response",
    "Talk",
    needs="chat",
    parameters=(_ID,),
    responses={200: Response.json(ResponseObject, "The response.")},
    errors=_NOT_FOUND,
)
async def retrieve(request: web.Request) -> web.StreamResponse:
    if (running := _running(request)) is not None:
        return json_response(running.response.in_progress())
    return json_response((await _stored(request)).fields)


@Operation(
    "The input of a stored response",
    "Talk",
    needs="chat",
    parameters=(_ID,),
    responses={200: Response.json(dict[str, object], "A list of the input items, the last one first.")},
    errors=_NOT_FOUND,
)
async def input_items(request: web.Request) -> web.StreamResponse:
    data = [input_fields(item) for item in reversed((await _stored(request)).input)]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return json_response({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": False})


@Operation(
    "Forget a stored response",
    "Talk",
    needs="chat",
    parameters=(_ID,),
    responses={200: Response.json(dict[str, object], "Its id, and `deleted`.")},
    errors=_NOT_FOUND,
)
async def delete(request: web.Request) -> web.StreamResponse:
    found = await _stored(request)
    await request.app[CHAINS].forget(found.id, found.owner)
    return json_response({"id": found.id, "object": "response", "deleted": True})


@Operation(
    "Cancel a response that is being made",
    "Talk",
    needs="chat",
    parameters=(_ID,),
    responses={200: Response.json(ResponseObject, "The response so far.")},
    errors={400: "The response has ended (`response_ended`).", **_NOT_FOUND},
)
async def cancel(request: web.Request) -> web.StreamResponse:
    running = _running(request)
    if running is None:
        status = (await _stored(request)).fields["status"]
        raise Problem(400, "response_ended", f"The response has ended ({status}); it cannot be cancelled.")
    running.cancel()
    return json_response({**running.response.in_progress(), "status": "cancelled"})


def _running(request: web.Request) -> RunningResponse | None:
    running = request.app[RUNNING].get(request.match_info["id"])
    return running if running is not None and running.owner == request[AUTHORITY].owner else None


async def _stored(request: web.Request) -> StoredResponse:
    response_id, owner = request.match_info["id"], request[AUTHORITY].owner
    await request.app[CHAINS].recall(response_id, owner)
    found = request.app[CHAINS].find(response_id, owner)
    if found is None:
        raise Problem(404, "response_not_found", f"There is no response {response_id!r}.", param="response_id")
    return found


async def _whole(running: RunningResponse, shows_calls: bool) -> web.StreamResponse:
    ended = await running.finish()
    if ended.failure is not None:
        raise problem_of(ended.failure)
    return json_response(running.response.ended(ended, shows_calls), headers=cut_headers(ended.cut))


async def _streamed(request: web.Request, running: RunningResponse, shows_calls: bool) -> web.StreamResponse:
    events = StreamEvents(running.response, shows_calls)
    async with EventStream(request) as stream:
        try:
            async with aclosing(running.events()) as turn:
                async for event in turn:
                    if isinstance(event, RequestReady):
                        stream.response.headers.update(cut_headers(event.cut))
                    if frame := events.encode(event):
                        await stream.write(frame)
        except ConnectionError:
            raise
        except Exception as e:
            log.error("a response failed unexpectedly", exc_info=e, extra=limited())
            await stream.write(events.error(Problem.unexpected()))
        await stream.end()
    return stream.response
