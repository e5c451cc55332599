"""Requests to model servers over real sockets."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock
from pydantic_core import from_json, to_json

from charhost.character.character import ModelChoice
from charhost.errors import SettingsError
from charhost.llm.model import Delta, ModelError, ModelRequest
from charhost.llm.offline import languages as phrases
from charhost.llm.offline.model import OfflineModel
from charhost.llm.openai import provider
from charhost.llm.openai.provider import UpstreamModels
from charhost.logs.line_limit import LimitedRecords
from charhost.settings import Settings
from tests.llm.openai.scripted_upstream import HEAD, Line, Script, Upstream
from tests.scripted import pieces_of
from tests.strict_upstream import strict_upstream

HELLO = ModelRequest([{"role": "user", "content": "Hello"}])
KEY = "sk-0123456789abcdef"
STOP = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

Make = Callable[..., UpstreamModels]


@pytest.fixture
async def upstream() -> AsyncIterator[Callable[[Script], Awaitable[Upstream]]]:
    """Starts a server: `await upstream(script)`."""
    servers = []

    async def start(script: Script) -> Upstream:
        upstream = Upstream()
        servers.append(await upstream.start(script))
        return upstream

    yield start
    for server in servers:
        server.close()


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes models from settings: `make(url, llm_wait=1)`."""
    made = []

    def make(url: str | None, **more: Any) -> UpstreamModels:
        settings = Settings(**({"llm_url": url, "llm_model": "big", "llm_key": KEY} | more))
        made.append(UpstreamModels(settings))
        return made[-1]

    yield make
    for models in made:
        await models.close()


def character(**choice: Any) -> Any:
    """A character with that `LLM`."""
    return SimpleNamespace(
        name="Ada", llm=ModelChoice(**choice), greetings=("Hi!",), metadata={}, instructions={}, tools=(), file="ada.py"
    )


async def answer(models: UpstreamModels, request: ModelRequest = HELLO, **choice: Any) -> list[Delta]:
    """Return all deltas of a response."""
    return [delta async for delta in pieces_of(models.of(character(**choice)), request)]


async def text(models: UpstreamModels, **choice: Any) -> str:
    """Return the text of a response."""
    return "".join(delta.text for delta in await answer(models, **choice))


async def failure(models: UpstreamModels, **choice: Any) -> ModelError:
    """Return the error at the end of a response."""
    with pytest.raises(ModelError) as caught:
        await answer(models, **choice)
    return caught.value


async def hi(line: Line) -> None:
    """Send "Hi", and keep the connection."""
    line.answer(STOP)


async def silent(line: Line) -> None:
    """Send nothing until the client has left."""
    await line.gone()


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


async def test_stand_in_is_read_beside_the_event_loop(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its phrases are read from the disk at the start, on a thread, and not for the first response."""
    readers: list[threading.Thread] = []

    def note(package: str) -> Any:
        readers.append(threading.current_thread())
        return files(package)

    monkeypatch.setattr(phrases, "files", note)
    phrases.languages.cache_clear()
    models = make("none")
    await models.find()
    assert isinstance(models.of(character()), OfflineModel)
    assert [reader is threading.main_thread() for reader in readers] == [False]


async def test_model_is_asked_for_once(upstream: Any, make: Make) -> None:
    """Without a configured model the server's first one is used, and its list is read once."""

    async def script(line: Line) -> None:
        listing = line.head.startswith("GET /v1/models ")
        line.answer(b'{"data":[{"id":"first"}]}' if listing else STOP)

    server = await upstream(script)
    models = make(server.url, llm_model=None)
    await asyncio.gather(text(models), text(models))
    posts = [from_json(line.body)["model"] for line in server.requests if line.head.startswith("POST")]
    assert (posts, len(server.requests)) == (["first", "first"], 3)


@pytest.mark.parametrize("status", ["404 Not Found", "200 OK"])
async def test_no_model_to_ask_for(status: str, upstream: Any, make: Make) -> None:
    """If the server's models cannot be listed, the error names the setting."""

    async def script(line: Line) -> None:
        line.answer(b'{"data":[]}', status)

    error = await failure(make((await upstream(script)).url, llm_model=None))
    assert "--llm-model" in str(error)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
async def test_cut_anywhere(newline: bytes, upstream: Any, make: Make) -> None:
    """Text is whole, where the network cuts characters in two and the server sends comments and CRLF."""
    events = b": ping\n\nevent: x\n" + STOP.replace(b"Hi", "ä€😀".encode())

    async def script(line: Line) -> None:
        line.send(HEAD + b"Connection: close\r\n\r\n")
        for byte in events.replace(b"\n", newline):
            line.send(bytes([byte]))
            await line.writer.drain()
            await asyncio.sleep(0)
        line.writer.close()

    assert await text(make((await upstream(script)).url)) == "ä€😀"


async def test_whole_completion(upstream: Any, make: Make) -> None:
    """A response that is no stream is one delta."""
    body = to_json({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})

    async def script(line: Line) -> None:
        line.answer(body, kind="application/json")

    assert await answer(make((await upstream(script)).url)) == [Delta("Hi", finish="stop")]


@pytest.mark.parametrize(
    ("body", "kind", "error_type"),
    [
        (b"<html>", "text/html", "malformed"),
        (b"data: {\n\n", "text/event-stream", "malformed"),
        (b"data: " + b"x" * (2 << 20), "text/event-stream", "malformed"),
        (b"", "text/event-stream", "truncated"),
        (b"data: [DONE]\n\n", "text/event-stream", "truncated"),
        (b'data: {"error":{"message":"at 127.0.0.1"}}\n\n', "text/event-stream", "server_error"),
    ],
)
async def test_bad_answers(body: bytes, kind: str, error_type: str, upstream: Any, make: Make) -> None:
    """Each kind of invalid response has its own error, without an address."""

    async def script(line: Line) -> None:
        line.answer(body, kind=kind)

    error = await failure(make((await upstream(script)).url))
    assert error.error_type == error_type
    assert "127.0.0.1" not in str(error)


@pytest.mark.parametrize(
    ("fault", "error_type"), [("truncate", "truncated"), ("disconnect", "truncated"), ("corrupt", "malformed")]
)
async def test_broken_streams(fault: str, error_type: str, llmock: LLMock, make: Make) -> None:
    """A response that breaks off yields its deltas, then fails, and is not requested again."""
    getattr(llmock.reply("one two three four"), fault)(after_chunks=3)
    pieces = pieces_of(make(llmock.base_url()).of(character()), HELLO)
    assert (await anext(pieces)).text
    with pytest.raises(ModelError) as caught:
        [piece async for piece in pieces]
    assert (caught.value.error_type, len(llmock.requests)) == (error_type, 1)


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"5\r\ndata:"], ids=["bad", "cut"])
async def test_broken_transfer(chunk: bytes, upstream: Any, make: Make) -> None:
    """A body that breaks HTTP itself is a failure of the model; which, depends on how much came at once."""

    async def script(line: Line) -> None:
        line.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n" % (10, b"data: {}\n\n"), chunk)
        line.writer.close()

    error = await failure(make((await upstream(script)).url))
    assert error.error_type in ("truncated", "malformed")


async def test_no_http(upstream: Any, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A server of another protocol has its own error; the log has nothing of the request."""

    async def script(line: Line) -> None:
        line.send(b"220 mail.example.org ESMTP\r\n\r\n")

    assert (await failure(make((await upstream(script)).url))).error_type == "malformed"
    assert "Authorization" not in caplog.text


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


async def test_redirects_are_not_followed(upstream: Any, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A redirect takes neither the request nor the key elsewhere; the log names its target, the client's error not."""
    other = await upstream(hi)

    async def script(line: Line) -> None:
        line.answer(b"", "307 Temporary Redirect", more=f"Location: {other.url}/chat/completions\r\n")

    error = await failure(make((await upstream(script)).url))
    assert (error.error_type, other.requests) == ("refused", [])
    assert f"redirect to {other.url}/chat/completions" in caplog.text
    assert "127.0.0.1" not in str(error)


async def test_log_names_the_address_of_a_404(llmock: LLMock, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The log of a 404 names the address that was asked."""
    llmock.fail(404, times=None)
    await failure(make(llmock.base_url()))
    assert f"POST {llmock.base_url()}/chat/completions" in caplog.text


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


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_asks_again(status: str, upstream: Any, make: Make) -> None:
    """A request to a busy server is repeated after its `Retry-After`."""

    async def script(line: Line) -> None:
        line.answer(STOP, status if len(server.requests) < 3 else "200 OK", more="Retry-After: 0.01\r\n")

    server = await upstream(script)
    assert (await text(make(server.url)), len(server.requests)) == ("Hi", 3)


async def test_does_not_ask_for_ever(upstream: Any, make: Make) -> None:
    """After two more attempts it is over."""

    async def script(line: Line) -> None:
        line.answer(b"", "429 Too Many Requests", more="Retry-After: 0.01\r\n")

    server = await upstream(script)
    error = await failure(make(server.url))
    assert (error.error_type, error.retry_after, len(server.requests)) == ("rate_limited", 0.01, 3)


async def test_long_pauses_are_in_the_error(llmock: LLMock, make: Make) -> None:
    """A long `Retry-After` is not waited for, and is in the error."""
    llmock.rate_limit(retry_after=60)
    error = await failure(make(llmock.base_url()))
    assert (error.retry_after, len(llmock.requests)) == (60, 1)


async def test_pause_over_the_deadline(llmock: LLMock, make: Make) -> None:
    """A pause that would end behind the deadline is not begun."""
    llmock.rate_limit(retry_after=5)
    assert (await failure(make(llmock.base_url(), llm_first_deadline=4))).error_type == "rate_limited"


async def test_dropped_connections(upstream: Any, make: Make) -> None:
    """A request on a kept connection that the server closed is repeated without an error."""
    closing = asyncio.Event()

    async def script(line: Line) -> None:
        if line.number == 1 and len(server.requests) > 1:
            line.writer.close()  # a kept connection, on which the request was already on its way
            closing.set()
        else:
            line.answer(STOP)

    server = await upstream(script)
    models = make(server.url)
    assert [await text(models), await text(models)] == ["Hi", "Hi"]
    assert closing.is_set()


async def test_several_dropped_connections(upstream: Any, make: Make) -> None:
    """When all kept connections are dead, a new one is opened instead of trying each of them."""
    both = asyncio.Barrier(2)

    async def script(line: Line) -> None:
        if len(server.requests) <= 2:
            await both.wait()
        elif line.number <= 2:
            return line.writer.close()
        return line.answer(STOP)

    server = await upstream(script)
    models = make(server.url)
    await asyncio.gather(text(models), text(models))
    assert (await text(models), server.connections) == ("Hi", 3)


async def test_connections_are_kept(upstream: Any, make: Make) -> None:
    """Consecutive responses share a connection, also if the end of a body is a little late."""

    async def script(line: Line) -> None:
        line.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n" % (len(STOP), STOP))
        await line.writer.drain()
        await asyncio.sleep(0.005)
        line.send(b"0\r\n\r\n")

    server = await upstream(script)
    models = make(server.url)
    assert [await text(models) for _ in range(3)] == ["Hi"] * 3
    assert server.connections == 1


async def test_unreachable(make: Make, unused_tcp_port: int) -> None:
    """A server that is not there is unreachable, and the text has no address."""
    error = await failure(make(f"http://127.0.0.1:{unused_tcp_port}/v1"))
    assert error.error_type == "unreachable"
    assert str(unused_tcp_port) not in str(error)


async def test_unknown_host(make: Make) -> None:
    """A name that does not resolve is unreachable."""
    error = await failure(make("http://nobody.invalid/v1"))
    assert (error.error_type, "invalid" in str(error)) == ("unreachable", False)


async def test_proxies_of_the_environment_are_not_used(
    upstream: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys do not travel through a proxy of the environment."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert await text(make((await upstream(hi)).url)) == "Hi"


async def test_connect_deadline(upstream: Any, make: Make) -> None:
    """Connecting has its deadline, which TLS is a part of."""
    server = await upstream(silent)
    error = await failure(make(server.url.replace("http:", "https:"), llm_connect_deadline=0.05))
    assert (error.error_type, "llm-connect-deadline" in str(error), "0.05 s" in str(error)) == ("timeout", True, True)


@pytest.mark.parametrize("head", [b"", HEAD + b"\r\n"])
async def test_first_deadline(head: bytes, upstream: Any, make: Make) -> None:
    """A server that does not begin is given up, before its head and behind it; comments are no beginning."""

    async def script(line: Line) -> None:
        line.send(head and head + b": ping\n\n")
        await line.gone()

    server = await upstream(script)
    error = await failure(make(server.url, llm_first_deadline=0.05))
    assert (error.error_type, "llm-first-deadline" in str(error), "0.05 s" in str(error)) == ("timeout", True, True)
    await server.gone.wait()


async def test_idle_deadline(upstream: Any, make: Make) -> None:
    """A server that stops in the middle is given up, also if it still sends comments."""

    async def script(line: Line) -> None:
        line.send(HEAD + b"\r\n" + b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n')
        while not server.gone.is_set():
            line.send(b": ping\n\n")
            await line.writer.drain()
            await asyncio.sleep(0.01)

    server = await upstream(script)
    error = await failure(make(server.url, llm_idle_deadline=0.05))
    assert (error.error_type, "llm-idle-deadline" in str(error)) == ("timeout", True)


async def test_thoughts_are_a_sign_of_life(upstream: Any, make: Make) -> None:
    """A model that thinks for longer than the deadline, piece by piece, is not given up."""

    async def script(line: Line) -> None:
        line.send(HEAD + b"Connection: close\r\n\r\n")
        for _ in range(8):
            line.send(b'data: {"choices":[{"delta":{"reasoning":"Hm"}}]}\n\n')
            await asyncio.sleep(0.35)
        line.send(STOP)
        line.writer.close()

    assert await text(make((await upstream(script)).url, llm_idle_deadline=2, llm_first_deadline=2)) == "Hi"


async def test_slow_readers_are_no_silence(upstream: Any, make: Make) -> None:
    """The time of a slow reader does not count for the deadline."""
    go = asyncio.Event()

    async def script(line: Line) -> None:
        line.send(HEAD + b"Connection: close\r\n\r\n" + b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n')
        await go.wait()
        line.send(STOP)
        line.writer.close()

    pieces = []
    models = make((await upstream(script)).url, llm_idle_deadline=1)
    async for piece in pieces_of(models.of(character()), HELLO):
        pieces.append(piece.text)
        if len(pieces) == 1:
            await asyncio.sleep(2)
            go.set()
    assert pieces == ["Hi", "Hi"]


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


async def listing(line: Line) -> None:
    """Send a list of one model, or Hi."""
    if line.head.startswith("GET"):
        line.answer(b'{"data":[{"id":"big"}]}', kind="application/json")
    else:
        line.answer(STOP)


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


async def test_state_of_a_server_without_a_list(upstream: Any, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has responded is up, although it lists no models."""
    monkeypatch.setattr(provider, "_KNOWN_SECONDS", 0)

    async def script(line: Line) -> None:
        line.answer(STOP, "404 Not Found" if line.head.startswith("GET") else "200 OK")

    models = make((await upstream(script)).url)
    await text(models)
    assert await models.state() == "up"


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/chat/completions", "/v1?api-version=7"])
async def test_addresses_forgive(path: str, make: Make) -> None:
    """The server is found with or without `/v1`, the path of chat completions, a slash or a query."""
    async with strict_upstream() as server:
        models = make(server.url.removesuffix("/v1") + path)
        assert await models.state() == "up"
        assert await text(models) == "Hello from the model."


async def test_address_is_found_by_a_response(make: Make) -> None:
    """A request that meets nothing at the configured address finds the server."""
    async with strict_upstream() as server:
        assert await text(make(server.url.removesuffix("/v1"))) == "Hello from the model."


async def test_address_without_v1(make: Make) -> None:
    """A server that responds at the root is found from an address with `/v1`."""
    async with strict_upstream(base="") as server:
        assert await text(make(server.url + "/v1")) == "Hello from the model."


async def test_proxy_of_the_environment(upstream: Any, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request to another machine goes through `HTTP_PROXY`, unless `NO_PROXY` names the machine."""
    proxy = await upstream(hi)
    monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    models = make("http://model.invalid/v1")
    assert await text(models) == "Hi"
    assert proxy.requests[0].head.startswith("POST http://model.invalid/v1/chat/completions ")
    monkeypatch.setenv("NO_PROXY", "model.invalid")
    assert (await failure(models)).error_type == "unreachable"


async def test_loopback_has_no_proxy(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request to this machine never goes through a proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    async with strict_upstream() as server:
        assert await text(make(server.url)) == "Hello from the model."


async def test_netrc_is_not_read(upstream: Any, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in `.netrc` does not go to a model."""
    server = await upstream(hi)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    await text(make(server.url, llm_key=None))
    assert "authorization" not in server.requests[0].head.lower()


async def test_query_stays(make: Make) -> None:
    """The query of the configured address is part of each request."""
    async with strict_upstream() as server:
        await text(make(server.url + "?api-version=7"))
        assert server.queries == ["api-version=7"]


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
