"""Scripted model servers, and the models that ask them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from charhost.llm.openai.provider import UpstreamModels
from charhost.settings import Settings
from tests.llm.openai.asking import KEY, Make
from tests.llm.openai.scripted_upstream import Script, Upstream


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
