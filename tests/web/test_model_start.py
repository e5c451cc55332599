"""The start of an application asks for the model's server."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client
from tests.strict_upstream import strict_upstream

Start = Callable[..., Awaitable[Client]]

LIMIT = 180.0


async def logged(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """Wait for a line of the log."""
    async with asyncio.timeout(LIMIT):
        while text not in caplog.text:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["", "/v1", "/v1/chat/completions", "/v1/"])
async def test_address_is_found_and_logged(
    path: str, directory: Path, aiohttp_client: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The address at which the server responds is found out at the start, by asking."""
    caplog.set_level(logging.INFO, "charhost.llm")
    async with strict_upstream() as upstream:
        root = upstream.url.removesuffix("/v1")
        await aiohttp_client(create_app(Settings(directory=directory, llm_url=root + path)))
        await logged(f"the model's server responds at {upstream.url}\n", caplog)


async def test_missing_server_delays_nothing(
    directory: Path, aiohttp_client: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is not there yet is a warning, while charhost serves."""
    async with strict_upstream() as upstream:
        url = upstream.url
    client = await aiohttp_client(create_app(Settings(directory=directory, llm_url=url)))
    await logged(f"there is no model's server at {url} yet; responses fail until there is", caplog)
    assert (await (await client.get("/v1/health")).json())["llm"] == "down"


async def test_silent_server_delays_nothing(directory: Path, aiohttp_client: Start) -> None:
    """A server that accepts connections and never responds does not hold up the start or the end."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        async with asyncio.timeout(LIMIT):
            client = await aiohttp_client(create_app(Settings(directory=directory, llm_url=url)))
            assert (await client.get("/v1/characters")).status == 200
            await client.close()
