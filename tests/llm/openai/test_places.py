"""Places: how many requests to a model run at a time, and which response loses its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from charhost.llm.model import ModelError, ModelRequest
from charhost.llm.openai import places
from charhost.llm.openai.provider import UpstreamModels
from charhost.settings import Settings
from tests.llm.openai.scripted_upstream import HEAD, Line, Upstream
from tests.scripted import LIMIT, make_character, pieces_of

HELLO = ModelRequest([{"role": "user", "content": "Hello"}])
WORD = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
FIRST = 500  # words of the first response; the others have one


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A server whose first response goes on, and whose other responses are short."""

    async def script(line: Line) -> None:
        if line.number == 1:
            line.send(HEAD + b"\r\n" + WORD * FIRST)
            await line.gone()
        else:
            line.answer(WORD + STOP)

    upstream = Upstream()
    server = await upstream.start(script)
    yield upstream
    server.close()


@pytest.fixture
async def models(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[UpstreamModels]:
    """Models with one place, which is looked at often."""
    monkeypatch.setattr(places, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(places, "SLOW_READER_LIMIT", 0.2)
    models = UpstreamModels(Settings(llm_url=upstream.url, llm_model="big", llm_concurrency=1, llm_wait=LIMIT))
    yield models
    await models.close()


async def text(models: UpstreamModels) -> str:
    """Return the text of a response."""
    return "".join([delta.text async for delta in pieces_of(models.of(make_character()), HELLO)])


async def test_place_of_a_response_that_is_not_read_goes_to_the_next_request(
    models: UpstreamModels, upstream: Upstream
) -> None:
    """The response that is not read is stopped, its connection closed, and a reader that comes back learns why."""
    async with asyncio.timeout(LIMIT), aclosing(pieces_of(models.of(make_character()), HELLO)) as response:
        await anext(response)
        assert await text(models) == "Hi"
        await upstream.gone.wait()
        with pytest.raises(ModelError, match="its client did not read it") as caught:
            [delta async for delta in response]
    assert caught.value.error_type == "busy"
    assert await text(models) == "Hi"


async def test_place_of_a_slow_reader_stays_while_nothing_waits(models: UpstreamModels, upstream: Upstream) -> None:
    """Without another request a response waits for its reader as long as that stays."""
    async with asyncio.timeout(LIMIT), aclosing(pieces_of(models.of(make_character()), HELLO)) as response:
        await anext(response)
        await asyncio.sleep(1)  # five times the limit
        assert not upstream.gone.is_set()
        assert (await anext(response)).text == "Hi"


async def test_place_of_a_response_that_is_read_stays(models: UpstreamModels, upstream: Upstream) -> None:
    """A request waits for a response that is read, and for one whose model is slow."""
    async with asyncio.timeout(LIMIT), aclosing(pieces_of(models.of(make_character()), HELLO)) as response:
        waiting = asyncio.create_task(text(models))
        for _ in range(FIRST):
            await anext(response)
        more = asyncio.create_task(anext(response))
        await asyncio.sleep(1)
        assert (waiting.done(), more.done()) == (False, False)
        more.cancel()
        await asyncio.wait([more])
        assert await waiting == "Hi"


async def test_words_now_and_then_do_not_keep_a_place(models: UpstreamModels, upstream: Upstream) -> None:
    """A reader that takes a word now and then has too little of what waits for it."""
    async with asyncio.timeout(LIMIT), aclosing(pieces_of(models.of(make_character()), HELLO)) as response:
        waiting = asyncio.create_task(text(models))
        while not upstream.gone.is_set():
            await anext(response)
            await asyncio.sleep(0.1)
        assert await waiting == "Hi"
