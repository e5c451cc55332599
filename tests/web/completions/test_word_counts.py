"""What a streamed chat completion, and each word of it, costs, in counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from charhost.memory.budget import MemoryBudget
from charhost.settings import Settings
from charhost.web.completions.request import ChatRequest
from charhost.web.http.event_stream import EventStream
from tests.conftest import Client
from tests.counting import calls_of_charhost, count_calls, least_calls
from tests.relayed import relayed
from tests.web.completions.helpers import STOP, Play, lines

TOGETHER = [[f" {number}" for number in range(32)]]


async def test_words_that_arrive_together_are_written_together(
    client: Client, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 320 words in ten reads each is an event of its own, in ten writes; the budget of memory is hardly asked."""
    play(["Well", STOP], [*TOGETHER * 10, STOP])
    writes, changes = (count_calls(monkeypatch, *of) for of in ((EventStream, "write"), (MemoryBudget, "change")))
    short, few, once = len(await lines(client)), writes.number, changes.number
    assert len(await lines(client)) - short == 319
    assert writes.number - few == few + 9
    assert changes.number - once < 10


async def test_calls_for_a_word(client: Client, play: Play) -> None:
    """A further word costs a few calls, and no validation."""
    play([*TOGETHER, STOP], [*TOGETHER * 11, STOP])
    with calls_of_charhost() as few:
        await lines(client)
    with calls_of_charhost() as many:
        await lines(client)
    assert (many.number - few.number) / 320 < 7


async def test_calls_for_a_turn(
    aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request is validated once, and takes few calls until its last word."""
    async with relayed(settings, aiohttp_client) as client:
        validations = count_calls(monkeypatch, ChatRequest, "model_validate")
        assert await least_calls(lambda: lines(client)) < 540
        assert validations.number == 6
