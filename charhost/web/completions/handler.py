"""POST /v1/chat/completions: chat with a character as with a model of OpenAI."""

import asyncio
import logging
from contextlib import aclosing

from aiohttp import web

from charhost.conversation.dialogue import Dialogue
from charhost.conversation.turn_events import RequestReady, TurnEnded
from charhost.jsontext import encoded
from charhost.logs.line_limit import limited
from charhost.web.completions.chunks import ChoiceChunks, ChunkEvent, Chunks
from charhost.web.completions.request import ChatRequest
from charhost.web.completions.response import ChatCompletion, WholeResponse, completion
from charhost.web.completions.running_completion import RunningCompletion
from charhost.web.http.event_stream import EventStream
from charhost.web.http.operation import Operation, Response
from charhost.web.http.problems import Problem, json_response
from charhost.web.keys import MODEL_OPTIONS
from charhost.web.openai.request import CUT_HEADERS, TALK_ERRORS, cut_headers, prepared, problem_of, talk_request

log = logging.getLogger("charhost.web")


@Operation(
    "One response of a character, whole or streamed",
    "Talk",
    description=(
        "Chat with a character as with a model of OpenAI. The character's own prompt is put in front of the "
        "`messages`; a reload during a response does not change it. Unknown fields are ignored."
    ),
    needs="chat",
    body=ChatRequest,
    responses={
        200: Response(
            "The response; with `stream` as server-sent events: chunks, and then `[DONE]`.",
            {"application/json": ChatCompletion, "text/event-stream": ChunkEvent},
            CUT_HEADERS,
        )
    },
    errors=TALK_ERRORS,
)
async def completions(request: web.Request) -> web.StreamResponse:
    body = await talk_request(request, ChatRequest)
    more = request.app[MODEL_OPTIONS].of(body.model_extra)
    asked = await prepared(request, lambda: (body.turn_options(more), Dialogue.of(list(body.items()))))
    running = RunningCompletion(request, body, *asked)
    with running.claim:
        await prepared(request, running.restore)
        return await (_streamed(request, running) if body.stream else _whole(running))


async def _whole(running: RunningCompletion) -> web.StreamResponse:
    async with asyncio.TaskGroup() as tasks:
        finished = [tasks.create_task(_finished(running)) for _ in running.choices]
    responses = [choice.result() for choice in finished]
    for response in responses:
        if response.ended.failure is not None:
            raise problem_of(response.ended.failure)
    found = completion(running.name, responses)
    return json_response(found, headers=cut_headers(responses[0].ended.cut))


async def _finished(running: RunningCompletion) -> WholeResponse:
    response = WholeResponse(running.shows_reasoning, running.shows_calls)
    async with aclosing(running.begin().events()) as events:
        async for event in events:
            response.add(event)
    running.end(response.ended)
    return response


async def _streamed(request: web.Request, running: RunningCompletion) -> web.StreamResponse:
    async with EventStream(request) as stream:
        try:
            await _stream_choices(stream, running)
        except Exception as e:
            if not stream.response.prepared or isinstance(e, ConnectionError):
                raise
            await stream.write(b"data: " + encoded(_as_problem(e).openai_error) + b"\n\n")
        await stream.end()
    return stream.response


async def _stream_choices(stream: EventStream, running: RunningCompletion) -> None:
    chunks = Chunks(running.name, running.include_usage, running.shows_reasoning, running.shows_calls)
    endings = [await _stream_choice(stream, chunks.choice(index), running) for index in running.choices]
    if running.include_usage:
        await stream.write(chunks.usage(endings))
    await stream.write(b"data: [DONE]\n\n")


async def _stream_choice(stream: EventStream, chunks: ChoiceChunks, running: RunningCompletion) -> TurnEnded:
    turn = running.begin()
    async with aclosing(turn.batches()) as batches:
        async for events in batches:
            match events:
                case [RequestReady(cut)]:
                    stream.response.headers.update(cut_headers(cut))
                case [TurnEnded() as ended]:
                    running.end(ended)
                    if ended.failure is not None:
                        raise problem_of(ended.failure)
            if frames := b"".join(map(chunks.encode, events)):
                await stream.write(frames)
    assert turn.ended is not None
    return turn.ended


def _as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    log.error("a chat completion failed unexpectedly", exc_info=error, extra=limited())
    return Problem.unexpected()
