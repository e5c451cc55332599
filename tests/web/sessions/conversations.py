"""Conversations over real sockets with a scripted model, and the waits for their results."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector

from charhost.sets.view import full_name
from charhost.settings import Settings
from charhost.web.keys import CONVERSATIONS, METRICS, SESSIONS, SETS
from charhost.web.sessions.sessions import GenerationCount
from tests.conftest import Client
from tests.reload.helpers import Write
from tests.tagged import edit
from tests.web.realtime.event_grammar import Event
from tests.web.realtime.openai_client import LIMIT, Caller, Script
from tests.web.realtime.server import until

GA = "/v1/realtime?dialect=ga"


@pytest.fixture
def settings(directory: Path, write: Write) -> Settings:
    """Settings with the policy `follow`; all parts of Ada have the tag "one"."""
    edit(write, "one")
    return Settings(directory=directory, sessions="follow")


@pytest.fixture
async def script(client: Client) -> Script:
    """The scripted model of all characters."""
    script = Script()
    client.app[CONVERSATIONS].models = script
    return script


def value(client: Client, name: str) -> float | None:
    """Return the value of a metric."""
    return client.app[METRICS].registry.get_sample_value(f"charhost_{name}")


async def builds(client: Client, count: int) -> None:
    """Wait until the build threads have ended, and no more than *count* builds of the set are referenced."""
    others = sum(1 for _ in client.app[SETS]) - 1
    async with asyncio.timeout(LIMIT):
        while value(client, "builds_alive") != count + others:
            gc.collect()
            await asyncio.sleep(0.01)


def full(client: Client, name: str) -> str:
    """Return the full name of a character of the set."""
    return full_name(client.app[SETS].default.name, name)


def generations(client: Client) -> list[GenerationCount]:
    """Return how many sessions the set has, by generation."""
    return client.app[SESSIONS].by_generation(client.app[SETS].default.name)


async def ends(client: Client, *, drained: int, cut: int) -> None:
    """Wait until all sessions have ended, and check how."""
    await until(lambda: not len(client.app[SESSIONS]))
    assert (value(client, "sessions_drained_total"), value(client, "sessions_cut_total")) == (drained, cut)


async def begin(caller: Caller) -> None:
    """Request a response, and wait for its first text."""
    await caller.send("response.create")
    await caller.until("response.output_text.delta")


def failure(event: Event) -> Any:
    """Return the code of a failed response."""
    return event["response"]["status_details"]["error"]["code"]


Connect = Callable[[Client, str], Awaitable[ClientWebSocketResponse]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open any number of sockets; aiohttp's own client of an application opens at most a hundred."""

    async def connect(client: Client, path: str) -> ClientWebSocketResponse:
        return await session.ws_connect(client.make_url(path))

    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        yield connect
