"""A server whose model is one of a server of its own, which responds at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client
from tests.llm.openai.scripted_upstream import Line, Upstream

_RESPONSE = b"""data: {"choices": [{"index": 0, "delta": {"content": "Well"}}]}

data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

data: [DONE]

"""


@asynccontextmanager
async def relayed(settings: Settings, start: Callable[..., Awaitable[Client]]) -> AsyncIterator[Client]:
    """Return a client of a server that speaks with such a model."""

    async def respond(line: Line) -> None:
        line.answer(_RESPONSE)

    upstream = Upstream()
    async with await upstream.start(respond):
        served = settings.model_copy(update={"llm_url": upstream.url, "llm_model": "m"})
        client = await start(create_app(served))
        yield client
        await client.close()
