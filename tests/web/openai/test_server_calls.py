"""Tools of the character and of the client in one message, over every door, with OpenAI's SDK and a strict model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client, character
from tests.strict_upstream import StrictUpstream, strict_upstream

ROLLING = """
TOOLS = [{"type": "function", "function": {"name": "roll", "parameters": {"type": "object", "properties": {}}}}]
""" + (
    character("Ada")
    + """
    def handle_tool_call(self, tool_name, tool_input):
        return "a two"
"""
)
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
DOOR: Any = {"type": "function", "function": {"name": "door", "parameters": PARAMETERS}}
FLAT_DOOR: Any = {"type": "function", "name": "door", "parameters": PARAMETERS}
VISIBLE = {"charhost_tools": "visible"}
SHOWN = [{"id": "call_1", "name": "roll", "arguments": "{}", "output": "a two"}]
KEYS = {"admin_key": "the key of the admin", "api_key": "the key of a client"}

Serve = Callable[..., Awaitable[Client]]
World = tuple[openai.AsyncOpenAI, StrictUpstream]


@asynccontextmanager
async def world(
    serve: Serve, write: Callable[[str, str], object], key: str = "x", calls: int = 2, **settings: Any
) -> AsyncIterator[World]:
    """Serve Ada, who rolls dice, with a model that calls the first tools; yield OpenAI's client and the model."""
    directory = write("ada.py", ROLLING).parent  # type: ignore[attr-defined]
    async with strict_upstream(calls=calls) as upstream:
        client = await serve(create_app(Settings(directory=directory, llm_url=upstream.url, **settings)))
        async with openai.AsyncOpenAI(base_url=str(client.make_url("/v1")), api_key=key, max_retries=0) as sdk:
            yield sdk, upstream


def results(upstream: StrictUpstream) -> list[tuple[str, str]]:
    """Return the results of calls in the last request to the model."""
    messages = upstream.accepted[-1]["messages"]
    assert [len(m["tool_calls"]) for m in messages if m.get("tool_calls")] == [2]
    return [(m["tool_call_id"], m["content"]) for m in messages if m["role"] == "tool"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_results_are_not_lost_in_chat_completions(
    aiohttp_client: Serve, write: Callable[[str, str], object], streamed: bool
) -> None:
    """The model gets the result of the character's call beside that of the client's."""
    async with world(aiohttp_client, write) as (sdk, upstream):
        messages: list[Any] = [{"role": "user", "content": "Roll, and open the door."}]
        if streamed:
            async with sdk.chat.completions.stream(model="Ada", messages=messages, tools=[DOOR]) as stream:
                made: Any = (await stream.get_final_completion()).choices[0].message
        else:
            made = (await sdk.chat.completions.create(model="Ada", messages=messages, tools=[DOOR])).choices[0].message
        (call,) = made.tool_calls
        messages += [
            made.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "open"},
        ]
        await sdk.chat.completions.create(model="Ada", messages=messages, tools=[DOOR])
        assert results(upstream) == [("call_1", "a two"), ("call_2", "open")]


@pytest.mark.parametrize("stored", [False, True])
async def test_results_are_not_lost_in_responses(
    aiohttp_client: Serve, write: Callable[[str, str], object], stored: bool
) -> None:
    """They come back in a chain, and where the client sends all items itself."""
    async with world(aiohttp_client, write) as (sdk, upstream):
        question = {"role": "user", "content": "Roll, and open the door."}
        first: Any = await sdk.responses.create(model="Ada", input=[question], tools=[FLAT_DOOR], store=stored)  # type: ignore[list-item]
        output = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "open"}
        if stored:
            more: Any = {"input": [output], "previous_response_id": first.id}
        else:
            more = {"input": [question, first.output[0].model_dump(), output], "store": False}
        await sdk.responses.create(model="Ada", tools=[FLAT_DOOR], **more)
        assert results(upstream) == [("call_1", "a two"), ("call_2", "open")]


async def test_an_admin_sees_the_calls_of_the_server(
    aiohttp_client: Serve, write: Callable[[str, str], object]
) -> None:
    """With `charhost_tools` in the metadata they are in the response of each door."""
    async with world(aiohttp_client, write, key=KEYS["admin_key"], calls=1, **KEYS) as (sdk, _):
        hi: Any = {"model": "Ada", "messages": [{"role": "user", "content": "Hi"}], "metadata": VISIBLE}
        whole = await sdk.chat.completions.create(**hi)
        assert whole.choices[0].message.model_extra == {"charhost_tools": SHOWN}
        deltas = [chunk.choices[0].delta async for chunk in await sdk.chat.completions.create(**hi, stream=True)]
        assert [delta.model_extra for delta in deltas if delta.model_extra] == [{"charhost_tools": SHOWN}]
        response = await sdk.responses.create(model="Ada", input="Hi", metadata=VISIBLE)
        assert (response.model_extra or {})["charhost_tools"] == SHOWN
        assert "charhost_tools" not in (await sdk.responses.retrieve(response.id)).to_dict()
        async with sdk.realtime.connect(model="Ada") as session:
            await session.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
            )
            await session.response.create(response={"metadata": VISIBLE})
            async for event in session:
                if event.type == "response.done":
                    assert (event.response.model_extra or {})["charhost_tools"] == SHOWN
                    break


async def test_no_other_client_sees_the_calls_of_the_server(
    aiohttp_client: Serve, write: Callable[[str, str], object]
) -> None:
    """Without the authority, or without the field, there is nothing of them."""
    async with world(aiohttp_client, write, key=KEYS["api_key"], calls=1, **KEYS) as (sdk, _):
        hi: Any = {"model": "Ada", "messages": [{"role": "user", "content": "Hi"}]}
        admin = sdk.with_options(api_key=KEYS["admin_key"])
        for client, metadata in ((sdk, VISIBLE), (admin, {}), (admin, {"charhost_tools": "hidden"})):
            found = await client.chat.completions.create(**hi, metadata=metadata)
            assert found.choices[0].message.model_extra == {}
