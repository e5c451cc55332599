"""Several choices of one chat completion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client
from tests.strict_upstream import strict_upstream
from tests.web.completions.helpers import CHAT, DICE, HI, STOP, Play, ask


@pytest.mark.parametrize("stream", [False, True])
async def test_choices_share_what_was_made_of_the_request(client: Client, play: Play, stream: bool) -> None:
    """The messages are made once, the tools are put together once, and what was encoded is kept for the others."""
    model = play(["Hi.", STOP])
    request = {"model": "Ada", "messages": HI, "n": 3, "tools": [DICE], "stream": stream}
    answer = await client.post(CHAT, json=request)
    assert answer.status == 200
    await answer.read()
    first, *others = model.requests
    assert len(others) == 2
    assert all(request.forms is first.forms and request.tools is first.tools for request in others)
    assert all(
        message is of_first
        for request in others
        for message, of_first in zip(request.messages, first.messages, strict=True)
    )


async def test_one_choice_keeps_no_encoded_request(client: Client, play: Play) -> None:
    """A request that nothing shares is not kept for as long as its response takes."""
    model = play(["Hi.", STOP])
    await ask(client)
    assert model.requests[0].forms is None


async def test_choices_reach_a_model_alike(
    aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings
) -> None:
    """Each choice is a request of its own, with the same content."""
    async with strict_upstream() as upstream:
        client = await aiohttp_client(create_app(settings.model_copy(update={"llm_url": upstream.url})))
        await ask(client, n=3)
        assert len(upstream.accepted) == 3
        assert upstream.accepted[0] == upstream.accepted[1] == upstream.accepted[2]
