"""The decoders of all doors, with random requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, get_args

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from hypothesis import strategies as st

from charhost.errors import InvalidRequest
from charhost.jsontext import TooManyValues, encoded
from charhost.memory.budget import MemoryBudget
from charhost.memory.offload import Offload
from charhost.reload.request import ReloadRequest, RollbackRequest, SetRequest
from charhost.web.audio.speech import SpeechRequest
from charhost.web.audio.upload import read_form
from charhost.web.completions.request import ChatRequest
from charhost.web.http.body import parsed
from charhost.web.http.problems import Problem
from charhost.web.keys import MEMORY, OFFLOAD
from charhost.web.model_choice import ModelRequest
from charhost.web.openai.request import decoded_body, valid_body
from charhost.web.process.foreign_log import filter_foreign_loggers
from charhost.web.protocol import client_events
from charhost.web.protocol.frames import EventRefused
from charhost.web.protocol.item_format import item_fields, item_from
from charhost.web.protocol.session_config import SessionConfig, settings_of
from charhost.web.protocol.session_params import ResponseParams, SessionParams, read
from charhost.web.protocol.unmute_session import UnmuteUpdate
from charhost.web.realtime.client_dialect import dialect_by
from charhost.web.realtime.client_secrets import ClientSecretRequest
from charhost.web.responses.request import ResponsesRequest
from charhost.web.sets import Removal
from tests.fuzz.campaign import SECONDS, check_cost, run
from tests.fuzz.inputs import damaged, texts

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"a": {}}}}}
FLAT = {"type": "function", "name": "look", "parameters": {"type": "object"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}
CALL = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}, IMAGE]},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "Hm."},
    {"role": "tool", "tool_call_id": "1", "content": "A door."},
]
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
OUTPUT = {"type": "function_call_output", "call_id": "1", "output": "A door."}
SESSION = {
    "type": "realtime",
    "model": "Ada",
    "instructions": "Be brief.",
    "tools": [FLAT],
    "tool_choice": "auto",
    "max_output_tokens": 5,
    "audio": {"input": {"turn_detection": {"type": "server_vad"}}, "output": {"voice": "x", "speed": 1.0}},
    "modalities": ["text"],
    "turn_detection": None,
    "input_audio_format": "pcm16",
    "temperature": 0.8,
}
CHAT = {
    "model": "Ada",
    "messages": MESSAGES,
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "n": 2,
    "stop": ["a"],
    "logit_bias": {"5": 1.0},
    "stream_options": {"include_usage": True},
    "metadata": {"a": "b"},
    "temperature": 0.5,
    "max_tokens": 5,
    "response_format": {"type": "json_object"},
}
RESPONSES = {
    "model": "Ada",
    "input": [ITEM, {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"}, OUTPUT],
    "tools": [FLAT],
    "text": {"format": {"type": "json_schema", "name": "a", "schema": {}}},
    "reasoning": {"effort": "low"},
    "metadata": {"a": "b"},
}
EVENTS = [
    {"type": "session.update", "session": SESSION, "event_id": "e"},
    {"type": "conversation.item.create", "item": ITEM, "previous_item_id": "root"},
    {"type": "conversation.item.create", "item": OUTPUT},
    {"type": "conversation.item.delete", "item_id": "1"},
    {
        "type": "response.create",
        "response": {"input": [ITEM], "metadata": {"a": "b"}, "conversation": "none", **SESSION},
    },
    {"type": "input_audio_buffer.append", "audio": "T2dnUw=="},
    {"type": "session.update", "session": {"voice": "x", "allow_recording": False}},
]


@contextmanager
def refusing() -> Iterator[None]:
    """Take refusals for success; their texts must be short."""
    length = 0
    try:
        yield
    except (Problem, EventRefused, InvalidRequest, TooManyValues) as e:
        length = len(str(e))
    assert length < 10_000


def chat(data: bytes) -> None:
    """Read a request of chat completions."""
    asked = valid_body(decoded_body(data), ChatRequest)
    encoded(list(asked.turn_options().tools))
    list(asked.items())


def responses(data: bytes) -> None:
    """Read a request of the Responses API."""
    asked = valid_body(decoded_body(data), ResponsesRequest)
    encoded(list(asked.turn_options().tools))
    list(asked.items({}))


def client_secret(data: bytes) -> None:
    """Read a request for a client secret."""
    asked = valid_body(decoded_body(data), ClientSecretRequest)
    encoded(SessionConfig().merged(read(SessionParams, asked.session or {}, "session")).stored())


def event(data: bytes) -> None:
    """Read an event of a WebSocket, in each dialect."""
    text = data.decode("utf-8", "replace")
    fields = client_events.decoded(text)
    client_events.event_id_of(fields)
    assert dialect_by(fields) in get_args(client_events.Dialect)
    if fields["type"] == "session.update":
        with refusing():
            client_events.valid(UnmuteUpdate, fields)
    match client_events.checked(fields):
        case client_events.SessionUpdate(session=params):
            config = SessionConfig().merged(read(SessionParams, params, "session"))
            encoded(config.ga("sess", "Ada"))
            settings_of("beta", config.stored())
        case client_events.ItemCreate(item=item):
            encoded(item_fields(item_from(item)))
        case client_events.ResponseCreate(response=params):
            wanted = read(ResponseParams, params or {}, "response")
            SessionConfig().merged(wanted).turn_options(recorded=False)


def speech(data: bytes) -> None:
    """Read a request for speech."""
    valid_body(decoded_body(data), SpeechRequest)


def admin(data: bytes) -> None:
    """Read a request for a reload, for a rollback, for a set and for a model."""
    for kind in (ReloadRequest, RollbackRequest, SetRequest, Removal, ModelRequest):
        with refusing():
            parsed(data[: 64 << 10], kind)


DOORS: dict[str, tuple[Callable[[bytes], None], list[Any]]] = {
    "chat": (chat, [CHAT]),
    "responses": (responses, [RESPONSES]),
    "client secret": (client_secret, [{"expires_after": {"anchor": "created_at", "seconds": 60}, "session": SESSION}]),
    "event": (event, EVENTS),
    "speech": (speech, [{"input": "Hi", "voice": {"id": "Ada"}, "response_format": "mp3", "speed": 1.5}]),
    "admin": (
        admin,
        [
            {"directory": "default", "scope": "changed", "dry_run": True},
            {"generation": 3},
            {"directory": "/srv", "watch": True},
            {"sessions": "close", "drain_seconds": "5"},
            {"model": "m"},
        ],
    ),
}


def check(data: bytes) -> None:
    """Read the rest of an input at the door that its first byte names."""
    decode, _ = list(DOORS.values())[data[0] % len(DOORS)]
    with refusing():
        decode(data[1:])


@pytest.mark.slow
def test_random_requests() -> None:
    """Each is read or refused, without a long gap, and nothing is left of it."""
    inputs = [texts(templates).map(bytes([number]).__add__) for number, (_, templates) in enumerate(DOORS.values())]
    run(st.one_of(inputs), check)


FORM = b"".join(
    b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % part
    for part in (
        (b"file", b'; filename="a.wav"\r\nContent-Type: audio/wav', b"RIFF"),
        (b"model", b"", b"whisper-1"),
        (b"response_format", b"", b"verbose_json"),
        (b"language", b"\r\nContent-Transfer-Encoding: base64", b"ZW4="),
    )
)
FORM += b"--x--\r\n"


def form(data: bytes, loop: asyncio.AbstractEventLoop, offload: Offload) -> None:
    """Read the form of a transcription."""

    async def read() -> None:
        content = StreamReader(BaseProtocol(loop), 1 << 16, loop=loop)
        content.feed_data(data)
        content.feed_eof()
        app, headers = web.Application(), {"Content-Type": "multipart/form-data; boundary=x"}
        app[OFFLOAD] = offload
        request = make_mocked_request("POST", "/", headers, payload=content, app=app)
        with MemoryBudget().holding("requests") as request[MEMORY]:
            await read_form(request)

    with refusing():
        loop.run_until_complete(read())


@pytest.mark.slow
def test_random_forms() -> None:
    """Each is read or refused, without a long gap, and nothing is left of it."""
    filter_foreign_loggers()
    with closing(asyncio.new_event_loop()) as loop, closing(Offload()) as offload:
        run(damaged([FORM]), partial(form, loop=loop, offload=offload), SECONDS)


def test_good_form() -> None:
    """The form that the random ones are near to is read."""
    with closing(asyncio.new_event_loop()) as loop, closing(Offload()) as offload:
        form(FORM, loop, offload)


@pytest.mark.parametrize("door", DOORS)
def test_good_requests(door: str) -> None:
    """The requests that the random ones are near to are read."""
    decode, templates = DOORS[door]
    for template in templates:
        check_cost(decode, encoded(template))
