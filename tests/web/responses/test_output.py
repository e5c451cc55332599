"""What the output of a response has beside messages and calls: thinking, and the log probabilities of tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import openai
import pytest

from charhost.llm.model import Delta
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS
from tests.conftest import Client
from tests.scripted import ScriptedModel, call
from tests.web.responses.helpers import Play, create, events

DICE = {"type": "function", "name": "dice", "parameters": {"type": "object"}}
STOP = Delta(finish="stop")
HELLO = {"token": "Hello", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "Hi", "logprob": -1.5}]}


async def test_thinking_is_an_item(client: Client, play: Play) -> None:
    """The thinking stands before the message, as servers of open models send it."""
    play([Delta(reasoning="I should"), Delta(reasoning=" greet."), "Hello.", STOP])
    thoughts, message = (await create(client))["output"]
    assert (thoughts["type"], thoughts["summary"]) == ("reasoning", [])
    assert thoughts["content"] == [{"type": "reasoning_text", "text": "I should greet."}]
    assert message["content"][0]["text"] == "Hello."


async def test_thinking_is_streamed(sdk: openai.AsyncOpenAI, play: Play) -> None:
    """The item of the thinking ends where the next one begins, and the output is the same as a whole."""
    play([Delta(reasoning="I should"), Delta(reasoning=" greet."), "Hello.", STOP])
    found = await events(sdk)
    assert [event.type.removeprefix("response.") for event in found[2:9]] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert [event.output_index for event in found[2:-1]] == [0] * 7 + [1] * 6
    assert found[6].text == "I should greet."
    assert [item.id for item in found[-1].response.output] == [found[2].item.id, found[9].item.id]


async def test_thinking_between_items(sdk: openai.AsyncOpenAI, play: Play) -> None:
    """Thinking before a text, before a call and at the end are three items."""
    play([Delta(reasoning="a"), "Hm.", Delta(reasoning="b"), call("dice"), Delta(reasoning="c", finish="tool_calls")])
    found = await events(sdk, tools=[DICE])
    kinds = [item.type for item in found[-1].response.output]
    assert kinds == ["reasoning", "message", "reasoning", "function_call", "reasoning"]
    placed = [(event.output_index, event.item.id) for event in found if event.type == "response.output_item.done"]
    assert sorted(placed) == [(place, item.id) for place, item in enumerate(found[-1].response.output)]


async def test_thinking_comes_back_from_a_client(client: Client, play: Play) -> None:
    """A client that sends the items of a response again sends its thinking too, of which the model needs nothing."""
    model = play([Delta(reasoning="Hm."), "Hello.", STOP])
    output = (await create(client))["output"]
    await create(client, input=[{"role": "user", "content": "Hi"}, *output, {"role": "user", "content": "And?"}])
    assert [message["content"] for message in model.messages[1:]] == ["Hi", "Hello.", "And?"]


async def test_hidden_thinking(directory: Path, aiohttp_client: Callable[..., Awaitable[Client]]) -> None:
    """With --reasoning hide there is nothing of it."""
    client = await aiohttp_client(create_app(Settings(directory=directory, reasoning="hide")))
    client.app[CONVERSATIONS].models = ScriptedModel([Delta(reasoning="Hm."), "Hello.", STOP])
    assert [item["type"] for item in (await create(client))["output"]] == ["message"]
    streamed = await client.post("/v1/responses", json={"model": "Ada", "input": "Hi", "stream": True})
    assert "reasoning_text" not in await streamed.text()


@pytest.mark.parametrize("asked", [{"top_logprobs": 2}, {"include": ["message.output_text.logprobs"]}])
async def test_log_probabilities_reach_the_client(
    asked: dict[str, object], client: Client, sdk: openai.AsyncOpenAI, play: Play
) -> None:
    """They are asked for, and come with each piece and with the whole text."""
    model = play([Delta("Hello", logprobs=(HELLO,)), Delta(" you.", logprobs=(HELLO,)), STOP])
    (message,) = (await create(client, **asked))["output"]
    options = model.requests[0].options
    assert (options["logprobs"], options.get("top_logprobs")) == (True, asked.get("top_logprobs"))
    entry = message["content"][0]["logprobs"][0]
    assert (entry["token"], entry["logprob"], entry["bytes"]) == ("Hello", -0.5, list(b"Hello"))
    assert entry["top_logprobs"] == [{"token": "Hi", "logprob": -1.5, "bytes": list(b"Hi")}]
    found = await events(sdk, **asked)
    deltas = [event for event in found if event.type == "response.output_text.delta"]
    assert [event.logprobs[0].logprob for event in deltas] == [-0.5, -0.5]
    assert len(found[-1].response.output[0].content[0].logprobs) == 2
