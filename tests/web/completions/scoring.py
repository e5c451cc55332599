"""A character with a state, which it shows in each response of a strict model."""

from __future__ import annotations

from typing import Any

import openai

from tests.conftest import Client, character
from tests.strict_upstream import StrictUpstream

SCORING = """
TOOLS = [{"type": "function", "function": {"name": "score", "parameters": {"type": "object", "properties": {}}}}]
""" + (
    character("Ada")
    + """
    score = 0

    def handle_tool_call(self, tool_name, tool_input):
        self.score += 1
        return f"score {self.score}"
"""
)
KEYS = ("the key of a client", "the key of another")


def sdk(client: Client, key: str = KEYS[0]) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=str(client.make_url("/v1")), api_key=key, max_retries=0)


async def chat(caller: openai.AsyncOpenAI, *prompts: str, stream: bool = False, **fields: Any) -> None:
    """Read a whole response to the last of these messages of the user."""
    texts = [{"role": role, "content": text} for text in prompts for role in ("user", "assistant")]
    messages: Any = texts[:-1]
    if stream:
        async with caller.chat.completions.stream(model="Ada", messages=messages, **fields) as events:
            await events.until_done()
    else:
        await caller.chat.completions.create(model="Ada", messages=messages, **fields)


def scores(upstream: StrictUpstream) -> list[str]:
    """Return the results of the tool in this round of each response."""
    last = (request["messages"][-1] for request in upstream.accepted)
    return [message["content"].removeprefix("score ") for message in last if message["role"] == "tool"]
