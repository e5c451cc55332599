"""Clients that do not read: they are cut, whatever they send, and keep no place from others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from charhost.llm.openai import places
from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.connections import readers
from charhost.web.keys import METRICS, SESSIONS
from tests.conftest import Client
from tests.e2e.doors import LIMIT, SOCKETS, WORDS, Ending, Plain, Upstream, Visit
from tests.e2e.mute_clients import MOST_HELD, endless, small_socket, talkative

STREAMS = ["/v1/chat/completions", "/v1/responses"]
EVERY_DOOR = pytest.mark.parametrize("door", [*SOCKETS, *STREAMS])

Serve = Callable[..., Awaitable[Client]]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A model's server that listens."""
    upstream = Upstream()
    await upstream.open()
    yield upstream
    upstream.close()


@pytest.fixture
def serve(directory: Path, aiohttp_client: Callable[..., Awaitable[Client]], upstream: Upstream) -> Serve:
    """Serves the directory with these settings, over sockets that hold little."""

    async def serve(**settings: Any) -> Client:
        asking = {"directory": directory, "llm_url": upstream.url, "llm_model": "big"}
        app = create_app(Settings(**(asking | settings)))
        return await aiohttp_client(TestServer(app, socket_factory=small_socket))

    return serve


def value(client: Client, metric: str, **labels: str) -> float:
    """Return the value of a metric."""
    return client.app[METRICS].registry.get_sample_value(f"charhost_{metric}", labels) or 0.0


def test_times() -> None:
    """A reader has thirty seconds for a byte, and five for some words that others could have instead."""
    assert (readers.STALLED_READER_LIMIT, places.SLOW_READER_LIMIT) == (30, 5)


@EVERY_DOOR
async def test_reader_that_takes_nothing_is_cut(
    door: type[Visit] | str, serve: Serve, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that takes no byte of an endless response is cut, although it sends pongs; little is held until then."""
    monkeypatch.setattr(readers, "STALLED_READER_LIMIT", 0.5)
    monkeypatch.setattr(readers, "LOOK_EVERY", 0.1)
    client, said = await serve(), list[int]()
    upstream.then(endless(said))
    async with asyncio.timeout(LIMIT), talkative(door, client):
        await upstream.asked.get()
        await upstream.idle.wait()
        while len(client.app[SESSIONS]):
            await asyncio.sleep(0.01)
    assert sum(said) < MOST_HELD
    assert value(client, "readers_cut_total") == 1
    assert value(client, "sessions_closed_total", reason="stalled") == (not isinstance(door, str))


@EVERY_DOOR
async def test_places_of_readers_that_take_nothing_go_to_others(
    door: type[Visit] | str, serve: Serve, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While all places belong to responses that are not read, every other request is answered, one after the other.

    The model's server has no more connections than there are places.
    """
    monkeypatch.setattr(places, "SLOW_READER_LIMIT", 0.3)
    monkeypatch.setattr(places, "LOOK_EVERY", 0.05)
    client = await serve(llm_concurrency=2, llm_wait=LIMIT)
    upstream.then(endless([]), endless([]))
    most = 0
    async with asyncio.timeout(LIMIT), AsyncExitStack() as stalled:
        for _ in range(2):
            await stalled.enter_async_context(talkative(door, client))
            await upstream.asked.get()
        for _ in range(3):
            assert await Plain(client).turn() == Ending(WORDS)
            most = max(most, len(upstream.connections))
    assert most <= 2
