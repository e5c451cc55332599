"""OpenAI's SDK and OpenAI's agents for Python, against a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeModelConfig, RealtimeRunner, RealtimeSession
from llmock.pytest_plugin import LLMock
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.e2e.balanced import server
from tests.e2e.conftest import PATIENCE, BlockingServer, Server, running
from tests.e2e.helpers import asked_for_models
from tests.e2e.sdk import NO_PROXY, sdk, user

__all__ = ["server"]

RAW = "raw_server_event"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: dict[str, Any] = {"name": "get_weather", "description": "Return the weather.", "parameters": SCHEMA}
CHAT_WEATHER: ChatCompletionToolParam = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


async def until(connection: Any, kind: str) -> list[Any]:
    """The events up to the first one of that type."""
    events: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        while not events or events[-1].type != kind:
            events.append(await connection.recv())
    return events


def deltas(events: Iterable[Any], kind: str) -> str:
    """Return the text of the deltas."""
    return "".join(event.delta for event in events if event.type == kind)


async def test_realtime_text_turn(server: BlockingServer) -> None:
    """The SDK's GA client has a turn, and each event has its type."""
    async with (
        sdk(server) as client,
        client.realtime.connect(model="Ada", websocket_connection_options=NO_PROXY) as connection,
    ):
        (created,) = await until(connection, "session.created")
        assert created.session.model == "Ada"
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await connection.conversation.item.create(item=user("Hello!"))
        await connection.response.create()
        events = await until(connection, "response.done")
    (item,) = events[-1].response.output
    assert item.content[0].text == deltas(events, "response.output_text.delta") != ""


async def test_realtime_tool_round_trip(server: BlockingServer) -> None:
    """A tool of the client is called, its result is sent, and the character's message has it."""
    async with (
        sdk(server) as client,
        client.realtime.connect(model="Ada", websocket_connection_options=NO_PROXY) as connection,
    ):
        tool: Any = {"type": "function", **WEATHER}
        await connection.session.update(session={"type": "realtime", "tools": [tool]})
        await connection.conversation.item.create(item=user('/get_weather {"city": "Rome"}'))
        await connection.response.create()
        (call,) = (await until(connection, "response.done"))[-1].response.output
        assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Rome"})
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        await connection.conversation.item.create(item=result)
        await connection.response.create()
        assert "sunny" in (await until(connection, "response.done"))[-1].response.output[0].content[0].text


async def test_realtime_error_names_the_event(server: BlockingServer) -> None:
    """A refusal reaches the SDK as an error that names the client's event."""
    async with (
        sdk(server) as client,
        client.realtime.connect(model="Ada", websocket_connection_options=NO_PROXY) as connection,
    ):
        await connection.response.cancel(event_id="mine")
        error = (await until(connection, "error"))[-1].error
    assert (error.code, error.event_id) == ("response_cancel_not_active", "mine")


async def test_beta_text_turn(server: BlockingServer) -> None:
    """The beta client of the SDK has a turn, in its own words."""
    async with (
        sdk(server) as client,
        client.beta.realtime.connect(model="Ada", websocket_connection_options=NO_PROXY) as connection,
    ):
        await connection.session.update(session={"modalities": ["text"], "instructions": "Be brief."})
        await connection.conversation.item.create(item=user("Hello!"))
        await connection.response.create()
        events = await until(connection, "response.done")
    assert events[-1].response.output[0].content[0].text == deltas(events, "response.text.delta") != ""


async def test_characters(server: BlockingServer) -> None:
    """The list and the reload of characters, which the SDK does not know, can be sent with it and have responses."""
    async with sdk(server) as client, client.realtime.connect(model="Ada", websocket_connection_options=NO_PROXY) as c:
        await until(c, "session.created")
        await c.send({"type": "session.characters.list"})  # type: ignore[arg-type]
        listed = (await until(c, "session.characters.listed"))[-1]
        await c.send({"type": "session.characters.reload", "sessions": "keep"})  # type: ignore[arg-type]
        reloaded = (await until(c, "session.characters.reloaded"))[-1]
    assert [found["name"] for found in listed.characters] == [found["name"] for found in reloaded.characters]
    assert (reloaded.outcome, reloaded.trigger) == ("applied", "websocket")


async def test_models(server: BlockingServer) -> None:
    """Characters are models: they are listed, and found by their name."""
    async with sdk(server) as client:
        assert [model.id async for model in client.models.list()] == ["Ada", "Zoe"]
        assert (await client.models.retrieve("Ada")).owned_by == "charhost"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("Nobody")


async def test_chat(server: BlockingServer) -> None:
    """A chat completion has the requested character."""
    async with sdk(server) as client:
        answer = await client.chat.completions.create(model="Ada", messages=[{"role": "user", "content": "Hello!"}])
    assert (answer.model, answer.choices[0].finish_reason) == ("Ada", "stop")
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


async def test_chat_stream(server: BlockingServer) -> None:
    """A stream has the same text in chunks, and the usage at last."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello!"}]
    async with sdk(server) as client:
        whole = await client.chat.completions.create(model="Ada", messages=messages)
        stream = await client.chat.completions.create(
            model="Ada", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_chat_tool_round_trip(server: BlockingServer) -> None:
    """A tool of the client is called in a stream, too; the accumulated call is the plain one."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": '/get_weather {"city": "Rome"}'}]
    async with sdk(server) as client:
        async with client.chat.completions.stream(model="Ada", messages=messages, tools=[CHAT_WEATHER]) as stream:
            choice = (await stream.get_final_completion()).choices[0]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls is not None
        (call,) = choice.message.tool_calls
        assert json.loads(call.function.arguments) == {"city": "Rome"}
        asked: Any = {"role": "assistant", "tool_calls": [call.model_dump(include={"id", "type", "function"})]}
        messages += [asked, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        answer = await client.chat.completions.create(model="Ada", messages=messages, tools=[CHAT_WEATHER])
    assert "sunny" in (answer.choices[0].message.content or "")


async def test_chat_errors(server: BlockingServer) -> None:
    """Refusals become the SDK's own exceptions, with code and param."""
    async with sdk(server) as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.chat.completions.create(model="Nobody", messages=[{"role": "user", "content": "Hi"}])
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(model="Ada", messages=[])
    assert unknown.value.code == "model_not_found"


async def test_chat_failure_of_the_model(directory: Path, llmock: LLMock) -> None:
    """A failure of the model is the SDK's InternalServerError, and the next request has a response."""
    async with running(directory, "--llm-url", llmock.base_url(), "--llm-model", "m") as server, sdk(server) as client:
        (await asked_for_models(llmock)).fail(500)
        with pytest.raises(openai.InternalServerError) as failed:
            await client.chat.completions.create(model="Ada", messages=[{"role": "user", "content": "Hi"}])
        assert (failed.value.code, failed.value.status_code) == ("upstream_error", 502)
        llmock.reply("Yes.")
        answer = await client.chat.completions.create(model="Ada", messages=[{"role": "user", "content": "Hi"}])
    assert answer.choices[0].message.content == "Yes."


@asynccontextmanager
async def agent(
    server: Server | BlockingServer, tools: Sequence[Any] = (), name: str = "Ada"
) -> AsyncIterator[RealtimeSession]:
    """A realtime agent with that character."""
    url = f"{server.url.replace('http', 'ws', 1)}/v1/realtime?model={name}"
    config: RealtimeModelConfig = {"url": url, "api_key": "x"}
    config["initial_model_settings"] = {"output_modalities": ["text"], "tracing": None}
    starting = RealtimeAgent(name="Test", instructions="Be brief.", tools=list(tools))
    runner = RealtimeRunner(starting, config={"tracing_disabled": True})
    async with await runner.run(model_config=config) as session:
        yield session


async def agent_events(session: RealtimeSession, *kinds: str) -> list[Any]:
    """Return an agent's events up to these, in order; raise for one that it could not read."""
    events: list[Any] = []
    waiting = list(kinds)
    async with asyncio.timeout(PATIENCE):
        async for event in session:
            assert event.type != "error", event
            events.append(event)
            if event.type == waiting[0]:
                waiting.pop(0)
            if not waiting:
                break
    return events


def assistant_texts(session: RealtimeSession) -> list[str]:
    """The texts of the assistant, as the agent keeps them."""
    history: list[Any] = [item for item in session._history if item.type == "message" and item.role == "assistant"]
    return [part.text for item in history for part in item.content if part.type == "text"]


async def test_agent_text_turn(server: BlockingServer) -> None:
    """An agent has a turn, and keeps the character's message in its history."""
    async with agent(server) as session:
        await session.send_message("Hello!")
        await agent_events(session, "agent_end")
        assert len(assistant_texts(session)) == 1
        assert assistant_texts(session)[0]


async def test_agent_runs_its_tool(server: BlockingServer) -> None:
    """A tool of the agent is run once, and the character's message has its result."""
    cities: list[str] = []

    @function_tool
    def get_weather(city: str) -> str:
        """Return the weather."""
        cities.append(city)
        return "sunny"

    async with agent(server, [get_weather]) as session:
        await session.send_message('/get_weather {"city": "Rome"}')
        await agent_events(session, "tool_end", "agent_end")
        if not assistant_texts(session):
            await agent_events(session, "agent_end")
        assert (cities, "sunny" in assistant_texts(session)[-1]) == (["Rome"], True)


async def test_agent_survives_a_failure(directory: Path, llmock: LLMock) -> None:
    """After a response that failed the agent can request the next one."""
    async with (
        running(directory, "--llm-url", llmock.base_url(), "--llm-model", "m") as server,
        agent(server) as session,
    ):
        (await asked_for_models(llmock)).disconnect(after_chunks=1).reply("First.").reply("Second.")
        await session.send_message("Hello!")
        await agent_events(session, "agent_end")
        await session.send_message("Again!")
        await agent_events(session, "agent_end")
        assert assistant_texts(session)[-1] == "Second."


async def test_agent_has_the_character_of_its_url(server: BlockingServer) -> None:
    """The model that an agent sends unasked does not change the character of its URL."""
    async with agent(server, name="Zoe") as session:
        await session.send_message("Hello!")
        events = await agent_events(session, "agent_end")
    raw = [event.data.data for event in events if event.type == "raw_model_event" and event.data.type == RAW]
    assert {event["session"]["model"] for event in raw if "session" in event} == {"Zoe"}
