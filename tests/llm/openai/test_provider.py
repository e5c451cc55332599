"""Requests to model servers over real sockets."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock
from pydantic_core import from_json

from charhost.errors import SettingsError
from charhost.llm.model import Delta, ModelRequest
from charhost.llm.offline.model import OfflineModel
from charhost.logs.line_limit import LimitedRecords
from tests.llm.openai.asking import HELLO, KEY, STOP, Make, answer, character, failure, hi, listing, silent, text
from tests.llm.openai.scripted_upstream import HEAD, Line
from tests.scripted import pieces_of


async def test_answer_of_a_real_server(llmock: LLMock, make: Make) -> None:
    """A response has its text in deltas, a finish, and then its usage."""
    llmock.reply("Ahoy, my friend!")
    pieces = await answer(make(llmock.base_url()))
    assert "".join(piece.text for piece in pieces) == "Ahoy, my friend!"
    assert [piece.finish for piece in pieces if piece.finish] == ["stop"]
    assert pieces[-1].usage is not None


async def test_request(upstream: Any, make: Make) -> None:
    """The character's choice wins over the server's settings, and the request's options over both."""
    server = await upstream(hi)
    request = ModelRequest(({"role": "user", "content": "\ud83d"},), options={"temperature": 0.5, "n": 3, "seed": 7})
    await answer(make(server.url), request, model="small", temperature=1, max_tokens=9, stop="x")
    assert from_json(server.requests[0].body) == {
        "model": "small",
        "messages": [{"role": "user", "content": "\ufffd"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": ["x"],
        "seed": 7,
    }


async def test_tools(llmock: LLMock, make: Make) -> None:
    """Tools are offered, and a call of one comes in pieces of which the first has its name."""
    llmock.call_tool("look", {"where": "here"})
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    pieces = await answer(make(llmock.base_url()), ModelRequest(HELLO.messages, [tool], "auto"))
    calls = [call for piece in pieces for call in piece.calls]
    assert [call.name for call in calls if call.name] == ["look"]
    assert from_json("".join(call.arguments for call in calls)) == {"where": "here"}
    assert "tool_calls" in {piece.finish for piece in pieces}


async def test_one_name_for_the_most_tokens(upstream: Any, make: Make) -> None:
    """A limit of the request replaces the character's, also by its newer name."""
    server = await upstream(hi)
    await answer(make(server.url), ModelRequest(HELLO.messages, options={"max_completion_tokens": 5}), max_tokens=9)
    assert "max_tokens" not in from_json(server.requests[0].body)


async def test_server_key(upstream: Any, make: Make) -> None:
    """The server's key is sent to the server's address."""
    server = await upstream(hi)
    await text(make(server.url))
    assert f"Authorization: Bearer {KEY}" in server.requests[0].head


async def test_server_key_goes_nowhere_else(upstream: Any, make: Make) -> None:
    """The server's key is not sent to a character's own address."""
    server, other = await upstream(hi), await upstream(hi)
    assert await text(make(server.url), url=other.url) == "Hi"
    assert "Authorization" not in other.requests[0].head
    assert server.requests == []


@pytest.mark.parametrize("own", [False, True])
async def test_own_key(own: bool, upstream: Any, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A character's key is that of the variable it names, at its own address and at the server's."""
    monkeypatch.setenv("ADA_KEY", "adas")
    server = await upstream(hi)
    models = make("http://127.0.0.1:1" if own else server.url)
    await text(models, api_key_env="ADA_KEY", **({"url": server.url} if own else {}))
    assert "Authorization: Bearer adas\r\n" in server.requests[0].head


async def test_unset_variable(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that should hold a key and is not set is named."""
    monkeypatch.delenv("ADA_KEY", raising=False)
    error = await failure(make("http://127.0.0.1:1"), api_key_env="ADA_KEY")
    assert (error.error_type, "ADA_KEY" in str(error)) == ("unauthorized", True)


async def test_offline(make: Make) -> None:
    """Without an address the stand-in replies, and the state is "offline"."""
    models = make(None)
    assert isinstance(models.of(character()), OfflineModel)
    assert await models.state() == "offline"


async def test_key_that_cannot_be_sent(
    upstream: Any, make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key with a line break is refused before it is sent, and not shown; the server's own is refused at the start."""
    server = await upstream(hi)
    monkeypatch.setenv("ADA_KEY", "abcdefgh\r\nX-Other: 1")
    error = await failure(make(server.url), api_key_env="ADA_KEY")
    assert (error.error_type, server.requests) == ("unauthorized", [])
    assert "ADA_KEY holds a line break" in str(error)
    with pytest.raises(SettingsError, match="CHARHOST_LLM_KEY holds a line break") as refused:
        make(server.url, llm_key="abcdefgh\r\nX-Other: 1")
    assert "abcdefgh" not in str(error) + str(refused.value) + caplog.text


@pytest.mark.parametrize(
    ("status", "error_type"),
    [(400, "refused"), (401, "unauthorized"), (403, "unauthorized"), (404, "refused"), (500, "server_error")],
)
async def test_refusals_are_final(status: int, error_type: str, llmock: LLMock, make: Make) -> None:
    """A refusal that cannot change is requested once."""
    llmock.fail(status, times=None, message=f"no: {KEY} at {llmock.url}")
    error = await failure(make(llmock.base_url()))
    assert (error.error_type, len(llmock.requests)) == (error_type, 1)
    assert not any(part in str(error) for part in (KEY, "127.0.0.1", str(llmock.url)))


async def test_context_overflow(llmock: LLMock, make: Make) -> None:
    """The error of a prompt that is too long quotes the server."""
    llmock.context_overflow()
    assert "maximum context length" in str(await failure(make(llmock.base_url())))


async def test_log_names_the_host_and_no_key(llmock: LLMock, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A failure is one line in the log, with the host and without the key."""
    llmock.fail(400, message=f"bad {KEY}")
    await failure(make(llmock.base_url()))
    (record,) = [record for record in caplog.records if record.name == "charhost.llm"]
    assert record.levelno == logging.WARNING
    assert llmock.url.removeprefix("http://") in record.getMessage()
    assert KEY not in record.getMessage()


async def test_failures_are_few_lines(llmock: LLMock, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A server that refuses everything has ten lines a minute in the log."""
    models = make(llmock.base_url())
    with caplog.filtering(LimitedRecords()):
        for _ in range(30):
            llmock.fail(400, message="no")
            await failure(models)
    assert len([record for record in caplog.records if record.name == "charhost.llm"]) == 10


async def test_busy(upstream: Any, make: Make) -> None:
    """A request without a slot in time fails as busy, with a time to retry."""
    models = make((await upstream(silent)).url, llm_concurrency=1, llm_wait=0.05)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(answer(models))
        await asyncio.sleep(0)
        error = await failure(models)
        first.cancel()
    assert error.error_type == "busy"
    assert error.retry_after


@pytest.mark.parametrize("tls", [False, True], ids=["waiting", "connecting"])
async def test_cancelling_gives_the_place_back(tls: bool, upstream: Any, make: Make) -> None:
    """A task that is cancelled while it connects, or waits, closes the connection and frees its place."""
    server, good = await upstream(silent), await upstream(hi)
    models = make(good.url, llm_concurrency=1)
    url = server.url.replace("http:", "https:") if tls else server.url
    task = asyncio.create_task(answer(models, url=url))
    while not server.connections:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await server.gone.wait()
    assert await text(models) == "Hi"


async def test_closing_the_generator(upstream: Any, make: Make) -> None:
    """Closing a response early ends the server's connection at once, and frees the slot."""

    async def script(line: Line) -> None:
        if line.number == 1:
            line.send(HEAD + b"\r\n" + b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n')
            await line.gone()
        else:
            line.answer(STOP)

    server = await upstream(script)
    models = make(server.url, llm_concurrency=1)
    async with aclosing(pieces_of(models.of(character()), HELLO)) as pieces:
        assert await anext(pieces) == Delta("Hi")
    await server.gone.wait()
    assert await text(models) == "Hi"


async def test_failures_give_the_place_back(llmock: LLMock, make: Make) -> None:
    """A failed response frees its place."""
    llmock.fail(400).reply("Hi")
    models = make(llmock.base_url(), llm_concurrency=1)
    await failure(models)
    assert await text(models) == "Hi"


async def test_state_is_found_out_once(upstream: Any, make: Make) -> None:
    """Concurrent and later calls share one request for the state."""
    server = await upstream(listing)
    models = make(server.url)
    assert set(await asyncio.gather(*(models.state() for _ in range(5)))) == {"up"}
    assert (await models.state(), len(server.requests)) == ("up", 1)


async def test_state_down(make: Make, unused_tcp_port: int) -> None:
    """A server that is not there is down."""
    assert await make(f"http://127.0.0.1:{unused_tcp_port}/v1").state() == "down"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("401 Unauthorized", "down"),
        ("500 Internal Server Error", "down"),
        ("404 Not Found", "down"),
        ("200 OK", "down"),
    ],
)
async def test_state_of_servers_that_refuse(status: str, state: str, upstream: Any, make: Make) -> None:
    """A server that fails, does not take the key, or is no model's server is down."""

    async def script(line: Line) -> None:
        line.answer(b"", status)

    assert await make((await upstream(script)).url).state() == state


async def test_state_learns_from_answers(upstream: Any, make: Make) -> None:
    """The result of a response is the state, without a probe."""
    answers = ["200 OK", "500 Internal Server Error"]

    async def script(line: Line) -> None:
        line.answer(STOP, answers.pop(0))

    server = await upstream(script)
    models = make(server.url)
    await text(models)
    assert await models.state() == "up"
    await failure(models)
    assert await models.state() == "down"
    assert len(server.requests) == 2


async def test_state_is_not_that_of_others(upstream: Any, make: Make, unused_tcp_port: int) -> None:
    """The failure of a character's own server does not change the state of the server's."""
    models = make((await upstream(listing)).url)
    assert await models.state() == "up"
    await failure(models, url=f"http://127.0.0.1:{unused_tcp_port}/v1")
    assert await models.state() == "up"


async def test_json_module_is_not_used(llmock: LLMock, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A character file that breaks the json module breaks no response."""
    models = make("http://127.0.0.1:1")
    monkeypatch.setattr("json.loads", None)
    monkeypatch.setattr("json.dumps", None)
    assert (await failure(models)).error_type == "unreachable"
