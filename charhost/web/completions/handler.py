"""POST /v1/chat/completions: chat with a character as with a model of OpenAI."""

import asyncio
import logging
from contextlib import aclosing

from aiohttp import web

from charhost.character.character import Character
from charhost.conversation.turn import Turn
from charhost.conversation.turn_events import RequestReady, TurnEnded
from charhost.jsontext import encoded
from charhost.web.catalog import known_character
from charhost.web.completions.chunks import ChoiceChunks, Chunks, StreamedEvent
from charhost.web.completions.request import ChatRequest
from charhost.web.completions.response import ChatCompletion, WholeResponse, completion
from charhost.web.event_stream import EventStream
from charhost.web.keys import CONVERSATIONS, MODEL_OPTIONS, SETTINGS
from charhost.web.openapi import Operation, Response
from charhost.web.problems import Problem, json_response
from charhost.web.talk import CUT_HEADERS, TALK_ERRORS, cut_headers, problem_of, talk_request

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
            {"application/json": ChatCompletion, "text/event-stream": StreamedEvent},
            CUT_HEADERS,
        )
    },
    errors=TALK_ERRORS,
)
async def completions(request: web.Request) -> web.StreamResponse:
    asked = await talk_request(request, ChatRequest)
    # Looked up once: a reload during the response does not change it.
    character = known_character(request, asked.model)
    if asked.stream:
        return await _streamed(request, asked, character)
    return await _whole(request, asked, character)


async def _whole(request: web.Request, asked: ChatRequest, character: Character) -> web.StreamResponse:
    shows_reasoning = request.app[SETTINGS].reasoning == "forward"
    turns = [_turn(request, asked, character) for _ in range(asked.n or 1)]
    async with asyncio.TaskGroup() as tasks:
        finished = [tasks.create_task(_finished(turn, shows_reasoning)) for turn in turns]
    responses = [turn.result() for turn in finished]
    for response in responses:
        if response.ended.failure is not None:
            raise problem_of(response.ended.failure)
    return json_response(completion(character.name, responses), headers=cut_headers(responses[0].ended.cut))


async def _streamed(request: web.Request, asked: ChatRequest, character: Character) -> web.StreamResponse:
    async with EventStream(request) as stream:
        try:
            await _stream_choices(stream, request, asked, character)
        except Exception as e:
            if not stream.response.prepared or isinstance(e, ConnectionError):
                raise
            await stream.write(b"data: " + encoded(_as_problem(e).openai_error) + b"\n\n")
        await stream.end()
    return stream.response


async def _stream_choices(stream: EventStream, request: web.Request, asked: ChatRequest, character: Character) -> None:
    chunks = Chunks(character.name, asked.include_usage, request.app[SETTINGS].reasoning == "forward")
    choices = map(chunks.choice, range(asked.n or 1))
    endings = [await _stream_choice(stream, choice, _turn(request, asked, character)) for choice in choices]
    if asked.include_usage:
        await stream.write(chunks.usage(endings))
    await stream.write(b"data: [DONE]\n\n")


async def _stream_choice(stream: EventStream, chunks: ChoiceChunks, turn: Turn) -> TurnEnded:
    async with aclosing(turn.events()) as events:
        async for event in events:
            if isinstance(event, TurnEnded) and event.failure is not None:
                raise problem_of(event.failure)
            if isinstance(event, RequestReady):
                stream.response.headers.update(cut_headers(event.cut))
            if frame := chunks.encode(event):
                await stream.write(frame)
    assert turn.ended is not None
    return turn.ended


def _as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    log.error("a chat completion failed unexpectedly", exc_info=error)
    return Problem.unexpected()


def _turn(request: web.Request, asked: ChatRequest, character: Character) -> Turn:
    conversation = request.app[CONVERSATIONS].open(character, "completions", items=asked.items())
    return conversation.respond(asked.turn_options(request.app[MODEL_OPTIONS].of(asked.model_extra)))


async def _finished(turn: Turn, shows_reasoning: bool) -> WholeResponse:
    response = WholeResponse(shows_reasoning)
    async with aclosing(turn.events()) as events:
        async for event in events:
            response.add(event)
    return response
