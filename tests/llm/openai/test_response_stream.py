"""The stream of a response: where it is cut, how it breaks, and how long it may pause."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock
from pydantic_core import to_json

from charhost.llm.model import Delta, ModelError
from tests.llm.openai.asking import HELLO, STOP, Make, answer, character, failure, text
from tests.llm.openai.scripted_upstream import HEAD, Line
from tests.scripted import pieces_of


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
