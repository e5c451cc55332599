"""The paths under which model servers respond."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.llm.openai import provider
from tests.llm.openai.asking import STOP, Make, text
from tests.llm.openai.scripted_upstream import Line
from tests.strict_upstream import strict_upstream


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


async def test_query_stays(make: Make) -> None:
    """The query of the configured address is part of each request."""
    async with strict_upstream() as server:
        await text(make(server.url + "?api-version=7"))
        assert server.queries == ["api-version=7"]
