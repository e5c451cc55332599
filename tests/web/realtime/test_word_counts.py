"""What a streamed response in a session, and each word of it, costs, in counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from charhost.memory.budget import MemoryBudget
from charhost.settings import Settings
from charhost.web.keys import CONVERSATIONS
from charhost.web.sessions.outbox import Outbox
from charhost.web.sessions.session import Session
from tests.conftest import Client
from tests.counting import Count, calls_of_charhost, count_calls, least_calls
from tests.relayed import relayed
from tests.web.realtime.openai_client import Script, calling


@pytest.fixture
def script(client: Client) -> Script:
    """The model of the server."""
    script = client.app[CONVERSATIONS].models = Script()
    return script


TOGETHER = [[f" {number}" for number in range(32)]]


async def words(client: Client, script: Script, times: int) -> int:
    """Return the calls for a response of so many times 32 words."""
    script.then(*TOGETHER * times)
    async with calling(client) as caller:
        with calls_of_charhost() as count:
            await caller.send("response.create")
            await caller.until("response.done")
    return count.number


async def test_calls_for_a_word(client: Client, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """A further word is one frame more, and few calls; nothing is weighed, and the budget hardly asked."""
    counted = [(Outbox, "put"), (Session, "weigh"), (MemoryBudget, "change")]
    counts: list[Count] = [count_calls(monkeypatch, *of) for of in counted]
    few = await words(client, script, 1)
    before = [count.number for count in counts]
    many = await words(client, script, 11)
    frames, weighed, changed = (count.number - 2 * number for count, number in zip(counts, before, strict=True))
    assert (frames, weighed) == (320, 0)
    assert changed < 10
    assert (many - few) / 320 < 13


async def test_calls_for_a_turn(aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings) -> None:
    """A response takes few calls from its request to its last word."""
    async with relayed(settings, aiohttp_client) as client, calling(client) as caller:

        async def turn() -> None:
            await caller.send("response.create")
            await caller.until("response.done")

        assert await least_calls(turn) < 535
