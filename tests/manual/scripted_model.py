"""A model's server that follows the words of the user: `python -m tests.manual.scripted_model PORT`.

"dice" has it throw the character's dice, "point" record one, "story" tell for ten seconds. The task of a chat program
gets a title, or no tags. Everything else gets an answer with a number, so that it differs each time.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from aiohttp import web

Deltas = Iterator[Mapping[str, Any]]

STORY = "Once upon a time there was a badger who kept an inn. " * 10
NUMBERS = count(1)
PACE = 0.1  # seconds between words


async def complete(request: web.Request) -> web.StreamResponse:
    """`POST /v1/chat/completions`."""
    fields = await request.json()
    print(json.dumps({"last": fields["messages"][-1], "tools": len(fields.get("tools", ()))}), flush=True)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for delta in deltas(fields["messages"], {tool["function"]["name"] for tool in fields.get("tools", ())}):
        choice = {"index": 0, "delta": delta, "finish_reason": delta.get("finish")}
        await response.write(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
        await asyncio.sleep(PACE)
    await response.write(b"data: [DONE]\n\n")
    return response


def deltas(messages: Sequence[Mapping[str, Any]], tools: set[str]) -> Deltas:
    """Yield the pieces of the response to a conversation."""
    last = messages[-1]
    if last["role"] == "tool":
        return words(f"It happened: {last['content']}")
    said = str(last["content"])
    if said.lstrip().startswith("### Task:"):
        return words('{"title": "An evening at the inn"}' if '"title"' in said else '{"tags": [], "follow_ups": []}')
    if "dice" in said and "throw_dice" in tools:
        return call("throw_dice", count=2)
    if "point" in said and "add_point" in tools:
        return call("add_point", winner="guest")
    return words(STORY if "story" in said else f"Answer number {next(NUMBERS)} to your words: {said[-80:]}")


def words(text: str) -> Deltas:
    """Yield a text word by word."""
    for word in text.split(" "):
        yield {"content": f"{word} "}
    yield {"finish": "stop"}


def call(name: str, **arguments: object) -> Deltas:
    """Yield a call of a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    yield {"tool_calls": [{"index": 0, "id": f"call_{next(NUMBERS)}", "type": "function", "function": function}]}
    yield {"finish": "tool_calls"}


async def models(request: web.Request) -> web.Response:
    """`GET /v1/models`."""
    return web.json_response({"object": "list", "data": [{"id": "scripted", "object": "model"}]})


if __name__ == "__main__":
    app = web.Application(client_max_size=64 << 20)
    app.add_routes([web.post("/v1/chat/completions", complete), web.get("/v1/models", models)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
