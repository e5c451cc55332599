"""Requests for chat completions, and their responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from charhost.llm.model import Delta, Usage
from charhost.web.completions.request import ChatRequest
from charhost.web.openai.request import valid_body
from tests.conftest import Client, character
from tests.scripted import ScriptedModel

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "Hi"}]
DICE = {"type": "function", "function": {"name": "dice", "parameters": {"type": "object"}}}
STOP = Delta(finish="stop", usage=Usage(10, 5))

Play = Callable[..., ScriptedModel]


async def until_stopped(model: ScriptedModel) -> None:
    """Wait until the model has stopped."""
    async with asyncio.timeout(60):
        while not model.ended:
            await asyncio.sleep(0.01)


async def ask(client: Client, **fields: Any) -> Any:
    """Post a request, and return the response, which must be a success."""
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI} | fields)
    assert (answer.status, answer.content_type) == (200, "application/json")
    return await answer.json()


async def lines(client: Client, **fields: Any) -> list[str]:
    """Return the data of the events of a streamed response."""
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI, "stream": True} | fields)
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    *events, rest = (await answer.text()).split("\n\n")
    assert rest == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [event.removeprefix("data: ") for event in events]


async def chunks(client: Client, **fields: Any) -> list[Any]:
    """Return the chunks of a streamed response that ends with `[DONE]`."""
    *found, done = await lines(client, **fields)
    assert done == "[DONE]"
    return [json.loads(line) for line in found]


async def refusal(client: Client, status: int, **fields: Any) -> Any:
    """Return the error of a refused request."""
    answer = await client.post(CHAT, json={"model": "Ada", "messages": HI} | fields)
    assert (answer.status, answer.content_type) == (status, "application/json")
    error = (await answer.json())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def raw(fields: dict[str, Any]) -> bytes:
    """Return the bytes of an HTTP request."""
    body = to_json(fields)
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (CHAT.encode(), len(body), body)


ROLLER = f"""
{character("Ada")}
TOOLS = [{{"type": "function", "function": {{"name": "roll_dice"}}}}]
PromptGenerator.handle_tool_call = lambda self, tool_name, tool_input: "6"
"""


def parsed(messages: Any = HI, **fields: Any) -> ChatRequest:
    """Return the parsed request."""
    return valid_body({"model": "Ada", "messages": messages, **fields}, ChatRequest)
