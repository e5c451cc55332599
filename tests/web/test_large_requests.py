"""What the largest requests cost: the steps of the event loop while one is answered, in processor time."""

from __future__ import annotations

import asyncio
import io
import json
import time
from typing import Any

import pytest

from charhost.jsontext import MOST_OBJECTS
from charhost.llm.token_estimate import letters
from charhost.web.http.client_model import MOST_MESSAGES, MOST_TOOLS
from charhost.web.keys import CONVERSATIONS
from tests.conftest import Client
from tests.scripted import LIMIT, ScriptedModel

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
HI = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "look"}}
LARGE_FUNCTION = {"name": "look", "parameters": {"properties": {str(number): {"enum": [1, 2]} for number in range(40)}}}
LARGE_TOOL = {"type": "function", "function": LARGE_FUNCTION}
CALL = {"id": "c", "function": {"name": "look", "arguments": "{}"}}
# A few times the goal: a machine may be slow.
MOST_SECONDS = 0.25


@pytest.fixture
def client(client: Client) -> Client:
    """Return a client of a server whose model says one word."""
    client.app[CONVERSATIONS].models = ScriptedModel(["Hi."])
    return client


class Gaps:
    """The longest processor time in which the event loop has not come to a task that is always ready."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            before, last = time.thread_time(), before
            self.longest = max(self.longest, before - last)


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a request with one message."""
    return {"messages": [{"role": "user", "content": list(parts)}]}


ROOM = MOST_OBJECTS - 10
LARGEST = {
    "parts": (CHAT, said(*[{"type": "text", "text": ""}] * ROOM)),
    "unknown parts": (CHAT, said(*[{"type": "new", "a": 1}] * ROOM)),
    "messages": (CHAT, {"messages": [HI] * MOST_MESSAGES}),
    "calls": (CHAT, {"messages": [HI, {"role": "assistant", "tool_calls": [CALL] * (ROOM // 2)}]}),
    "emoji": (CHAT, {"messages": [{"role": "user", "content": "\N{GRINNING FACE}" + "x" * 20_000_000}]}),
    "lone surrogates": (CHAT, {"messages": [{"role": "user", "content": "\ud800" * 1_000_000}]}),
    "tools": (CHAT, {"messages": [HI], "tools": [LARGE_TOOL] * MOST_TOOLS}),
    "alternating roles": (CHAT, {"messages": [HI, {"role": "assistant", "content": "Go on."}] * (MOST_MESSAGES // 2)}),
    "values": (CHAT, {"messages": [HI], "ignored": [[]] * 99_000}),
    "input tools": (RESPONSES, {"input": "Hi", "tools": [{"type": "function", **LARGE_FUNCTION}] * MOST_TOOLS}),
    "input items": (RESPONSES, {"input": [HI] * MOST_MESSAGES}),
    "input parts": (RESPONSES, {"input": [{"role": "user", "content": [{"type": "text", "text": ""}] * ROOM}]}),
}


async def post(client: Client, path: str, fields: dict[str, Any]) -> tuple[int, str]:
    """Return the status and the text of a response."""
    data = io.BytesIO(json.dumps({"model": "Ada", **fields}).encode())
    async with client.post(path, data=data, headers={"Content-Type": "application/json"}) as response:
        return response.status, await response.text()


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGEST)
async def test_the_largest_requests_leave_the_event_loop_to_others(client: Client, name: str) -> None:
    """None of the largest requests that are accepted keeps the event loop for long at a time."""
    gaps = Gaps()
    watching = asyncio.create_task(gaps.watch())
    status, _ = await post(client, *LARGEST[name])
    watching.cancel()
    assert status == 200
    assert gaps.longest < MOST_SECONDS


PART = {"type": "input_text", "text": ""}
MESSAGE: dict[str, Any] = {"type": "message", "role": "user"}
SCHEMA = {"type": "function", "name": "look", "parameters": {"enum": [[]] * 99_000}}
LARGEST_EVENTS = {
    "parts": {"type": "conversation.item.create", "item": MESSAGE | {"content": [PART] * 20_000}},
    "tools": {"type": "session.update", "session": {"type": "realtime", "tools": [SCHEMA]}},
    "tools of a response": {"type": "response.create", "response": {"tools": [SCHEMA], "input": []}},
    "items of a response": {
        "type": "response.create",
        "response": {"conversation": "none", "input": [MESSAGE | {"content": [PART] * 10}] * 4_000},
    },
}
LAST = ("conversation.item.done", "session.updated", "response.done")


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGEST_EVENTS)
async def test_the_largest_events_leave_the_event_loop_to_others(client: Client, name: str) -> None:
    """None of the largest events that are accepted keeps the event loop for long at a time."""
    text, gaps = json.dumps(LARGEST_EVENTS[name]), Gaps()
    async with client.ws_connect("/v1/realtime?dialect=ga", max_msg_size=0) as ws:
        watching = asyncio.create_task(gaps.watch())
        await ws.send_str(text)
        while (kind := (await ws.receive_json(timeout=LIMIT))["type"]) not in LAST:
            assert kind != "error"
        watching.cancel()
    assert gaps.longest < MOST_SECONDS


@pytest.mark.parametrize(
    ("path", "fields", "status", "text"),
    [
        (CHAT, said(*[{"type": "text", "text": ""}] * MOST_OBJECTS), 413, "expected at most 50,000 objects"),
        (CHAT, {"messages": [HI] * (MOST_MESSAGES + 1)}, 400, "'messages'"),
        (CHAT, {"messages": [HI], "tools": [TOOL] * (MOST_TOOLS + 1)}, 400, "'tools'"),
        (CHAT, {"messages": [HI]} | {str(number): 1 for number in range(1_000)}, 400, "expected at most 1,000"),
        (RESPONSES, {"input": [HI] * (MOST_MESSAGES + 1)}, 400, "'input'"),
        (RESPONSES, {"input": "Hi", "tools": [{"type": "function", "name": "f"}] * (MOST_TOOLS + 1)}, 400, "'tools'"),
    ],
)
async def test_a_larger_request_is_refused(
    client: Client, path: str, fields: dict[str, Any], status: int, text: str
) -> None:
    """Too many parts, messages, tools or fields are refused, and the message names them."""
    found, content = await post(client, path, fields)
    assert found == status
    assert text in content


@pytest.mark.parametrize(
    ("event", "param"),
    [
        (
            {
                "type": "conversation.item.create",
                "item": {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": ""}] * 20_001,
                },
            },
            "item.content",
        ),
        (
            {
                "type": "response.create",
                "response": {
                    "conversation": "none",
                    "input": [{"type": "message", "role": "user", "content": []}] * 4_097,
                },
            },
            "response.input",
        ),
    ],
)
async def test_a_larger_event_is_refused(client: Client, event: dict[str, Any], param: str) -> None:
    """A message with too many parts and a response with too many items are refused by name, and the session goes on."""
    async with client.ws_connect("/v1/realtime?dialect=ga", max_msg_size=0) as ws:
        await ws.receive_json(timeout=LIMIT)
        await ws.send_json(event)
        assert (await ws.receive_json(timeout=LIMIT))["error"]["param"] == param
        await ws.send_json({"type": "session.update", "session": {}})
        assert (await ws.receive_json(timeout=LIMIT))["type"] == "session.updated"


def test_a_long_text_is_estimated_by_its_bytes() -> None:
    """An estimate of ten million letters with one emoji takes no search through them."""
    started = time.thread_time()
    assert letters("\N{GRINNING FACE}" + "x" * 10_000_000) == 10_000_004
    assert time.thread_time() - started < MOST_SECONDS
