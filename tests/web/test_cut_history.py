"""A long conversation: what each door reports of the messages that the model was not sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS, METRICS
from tests.conftest import Client
from tests.scripted import ScriptedModel, end

LONG = [
    {"role": "user", "content": "Who are you?"},
    {"role": "assistant", "content": "I am Ada." * 90},
    {"role": "user", "content": "b" * 900},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": "Hi"},
]
HEADERS = {"X-Messages-Left-Out": "2", "X-Messages-Shortened": "1"}
DETAILS = {"messages_left_out": 2, "messages_shortened": 1}


@pytest.fixture
async def client(directory: Path, aiohttp_client: Callable[..., Awaitable[Client]]) -> Client:
    """A client of a server that sends short conversations to a scripted model."""
    client = await aiohttp_client(create_app(Settings(directory=directory, history_tokens=100)))
    client.app[CONVERSATIONS].models = ScriptedModel(["Hello.", end()])
    return client


def cut_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in HEADERS if name in headers}


async def test_chat_completion(client: Client) -> None:
    """A chat completion reports the cut in its headers and in the details of its usage."""
    response = await client.post("/v1/chat/completions", json={"model": "Ada", "messages": LONG})
    assert cut_headers(response.headers) == HEADERS
    assert (await response.json())["usage"]["prompt_tokens_details"] == {"cached_tokens": 0} | DETAILS


async def test_streamed_chat_completion(client: Client) -> None:
    """A streamed one reports it before the first chunk, and in the usage."""
    asked = {"model": "Ada", "messages": LONG, "stream": True, "stream_options": {"include_usage": True}}
    response = await client.post("/v1/chat/completions", json=asked)
    assert cut_headers(response.headers) == HEADERS
    *_, usage, done = (await response.text()).split("\n\n")[:-1]
    assert done == "data: [DONE]"
    details = json.loads(usage.removeprefix("data: "))["usage"]["prompt_tokens_details"]
    assert details == {"cached_tokens": 0} | DETAILS


async def test_response(client: Client) -> None:
    """The Responses API reports it in the same headers, and in the details of its usage."""
    response = await client.post("/v1/responses", json={"model": "Ada", "input": LONG})
    assert cut_headers(response.headers) == HEADERS
    assert DETAILS.items() <= (await response.json())["usage"]["input_tokens_details"].items()


async def test_streamed_response(client: Client) -> None:
    """A streamed response has the headers, and the usage in its last event."""
    response = await client.post("/v1/responses", json={"model": "Ada", "input": LONG, "stream": True})
    assert cut_headers(response.headers) == HEADERS
    events = [json.loads(event.partition("data: ")[2]) for event in (await response.text()).split("\n\n")[:-1]]
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert DETAILS.items() <= events[-1]["response"]["usage"]["input_tokens_details"].items()


async def test_realtime(client: Client) -> None:
    """A Realtime session reports it in `response.done`."""
    async with client.ws_connect("/v1/realtime?dialect=ga") as ws:
        for message in LONG:
            kind = "output_text" if message["role"] == "assistant" else "input_text"
            content = [{"type": kind, "text": message["content"]}]
            item = {"type": "message", "role": message["role"], "content": content}
            await ws.send_json({"type": "conversation.item.create", "item": item})
        await ws.send_json({"type": "response.create"})
        while (event := await ws.receive_json(timeout=60))["type"] != "response.done":
            pass
    assert DETAILS.items() <= event["response"]["usage"]["input_token_details"].items()


async def test_metric_and_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A metric counts the messages, and the log has a line."""
    caplog.set_level(logging.INFO, "charhost.conversation")
    await client.post("/v1/chat/completions", json={"model": "Ada", "messages": LONG})
    registry, name = client.app[METRICS].registry, "charhost_history_messages_cut_total"
    assert [registry.get_sample_value(name, {"how": how}) for how in ("left_out", "shortened")] == [2, 1]
    assert "a long conversation with Ada: 2 messages left out, 1 shortened" in caplog.text


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
async def test_short_conversation(path: str, client: Client) -> None:
    """A conversation that was sent whole has neither headers nor details."""
    inputs: dict[str, Any] = {"messages": LONG[:1], "input": LONG[:1]}
    response = await client.post(f"/v1/{path}", json={"model": "Ada"} | inputs)
    assert response.status == 200
    assert cut_headers(response.headers) == {}
    assert "messages_left_out" not in await response.text()
