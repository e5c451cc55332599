"""Patterns in the schemas of tools, against which a model's arguments are matched for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import character
from tests.e2e.conftest import PATIENCE, running
from tests.llm.openai.scripted_upstream import Line, Upstream

PARAMETERS = {"type": "object", "properties": {"to": {"type": "string", "pattern": r"^([a-z]+)+@example.com$"}}}
WRITE = {"type": "function", "function": {"name": "write", "parameters": PARAMETERS}}
HANDLER = "\n    def handle_tool_call(self, name, arguments):\n        return 'sent'\n"
ARGUMENTS = json.dumps({"to": "a" * 40})


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A model that calls `write` with forty letters, and says what the result was."""

    async def script(line: Line) -> None:
        messages = json.loads(line.body)["messages"] if line.body else []
        if messages and messages[-1]["role"] == "tool":
            message: dict[str, Any] = {"content": messages[-1]["content"]}
        else:
            message = {"tool_calls": [{"id": "1", "function": {"name": "write", "arguments": ARGUMENTS}}]}
        choice = {"message": message, "finish_reason": "stop"}
        line.answer(json.dumps({"choices": [choice], "data": [{"id": "m"}]}).encode(), kind="application/json")

    upstream = Upstream()
    async with await upstream.start(script):
        yield upstream


async def said(url: str, tools: list[Any]) -> dict[str, Any]:
    """Return the message that Ada responds with."""
    body = {"model": "Ada", "messages": [{"role": "user", "content": "Hi"}], "tools": tools}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as client:
        asking = asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=body))
        async with client.get(f"{url}/v1/health") as health:
            assert health.status == 200
        async with await asking as answer:
            message: dict[str, Any] = (await answer.json())["choices"][0]["message"]
    return message


async def test_pattern_of_a_character(directory: Path, upstream: Upstream) -> None:
    """The model learns that its argument does not fit, and the server goes on meanwhile."""
    (directory / "ada.py").write_text(f"TOOLS = [{WRITE!r}]\n{character('Ada')}{HANDLER}")
    async with running(directory, "--llm-url", upstream.url, "--watchdog", "0") as server:
        message = await said(server.url, [])
    assert message["content"].startswith("Error: the arguments do not fit, at $.to: 'aaa")


async def test_pattern_of_a_client(directory: Path, upstream: Upstream) -> None:
    """The arguments for a client's tool are the client's to check, also if no reference in its schema can be read."""
    remote = {"$ref": "http://127.0.0.1:9/schema"}
    tool = {"type": "function", "function": {"name": "write", "parameters": PARAMETERS | {"allOf": [remote]}}}
    async with running(directory, "--llm-url", upstream.url, "--watchdog", "0") as server:
        message = await said(server.url, [tool])
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == [ARGUMENTS]
