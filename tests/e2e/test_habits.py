"""Habits of models' servers at every door: a response, or one clear error and a conversation that goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client, character
from tests.e2e.habit_clients import DOORS, Reply, Talk
from tests.strict_upstream import MODES, StrictUpstream, strict_upstream

Start = Callable[..., Awaitable[Client]]

TEXT = "Hello from the model."
OPTIONS = '\nLLM = {"temperature": 0.7, "max_tokens": 50, "stop": ["zzz"]}\n'
TOOLS = """
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
PromptGenerator.handle_tool_call = lambda self, name, arguments: "a garden"
"""


@pytest.fixture(autouse=True)
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let nothing be logged as an error: an error is a fault of charhost's own."""
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR] == []


class World:
    """A server with Ada, a model's server with one habit, and a client in a conversation."""

    def __init__(self, upstream: StrictUpstream, client: Client, file: Path, talk: Talk) -> None:
        self.upstream = upstream
        self.client = client
        self.file = file
        self.talk = talk

    async def assert_answered(self) -> None:
        """Assert that the next turn has the model's words, and was sent in the server's form at once."""
        await self.talk.send_text()
        sent = len(self.upstream.requests)
        assert await self.talk.send_text() == Reply(TEXT)
        assert set(self.upstream.refused[sent:]) == {""}


@asynccontextmanager
async def world(mode: str, door: type[Talk], directory: Path, aiohttp_client: Start) -> AsyncIterator[World]:
    file = directory / "ada.py"
    file.write_text(character("Ada") + OPTIONS)
    async with strict_upstream(mode) as upstream:
        client = await aiohttp_client(create_app(Settings(directory=directory, llm_url=upstream.url)))
        made = World(upstream, client, file, door(client))
        yield made
        await made.talk.close()
        await client.close()


async def plain(world: World) -> None:
    assert await world.talk.send_text() == Reply(TEXT)


async def tools_of_the_character(world: World) -> None:
    world.file.write_text(character("Ada") + OPTIONS + TOOLS)
    assert (await world.client.post("/v1/characters/reload", json={"sessions": "follow"})).status == 200
    assert await world.talk.send_text() == Reply(TEXT)


async def tools_of_the_client(world: World) -> None:
    if not world.talk.has_tools:
        pytest.skip("clients of unmute have no tools")
    world.talk.tools = True
    found = await world.talk.send_text()
    if world.upstream.modes[0].startswith("no-tools"):
        assert (found.text, found.call) == ("", "")
        assert found.error.startswith("The model")
    else:
        assert found.call
        await world.talk.add_result(found.call)
        assert await world.talk.respond() == Reply(TEXT)
    world.talk.tools = False


async def cancelled(world: World) -> None:
    world.upstream.pause = asyncio.Event()
    await world.talk.cancel(world.upstream)
    world.upstream.pause.set()
    world.upstream.pause = None


async def failed(world: World) -> None:
    world.upstream.failures = 1
    found = await world.talk.send_text()
    assert found.text == ""
    assert "failed (500)" in found.error


async def after_a_reload(world: World) -> None:
    assert await world.talk.send_text() == Reply(TEXT)
    world.file.write_text(character("Ada", "Be new.") + OPTIONS)
    assert (await world.client.post("/v1/characters/reload", json={"sessions": "follow"})).status == 200
    assert await world.talk.send_text() == Reply(TEXT)
    assert "Be new." in str(world.upstream.requests[-1]["messages"][0]["content"])


CASES = (plain, tools_of_the_character, tools_of_the_client, cancelled, failed, after_a_reload)


def matrix() -> Iterator[Any]:
    """Yield every mode with every door and case; all are slow but one of each mode."""
    for number, mode in enumerate(MODES):
        quick = DOORS[number % len(DOORS)], CASES[(number + number // len(DOORS)) % len(CASES)]
        for door, case in product(DOORS, CASES):
            marks = () if (door, case) == quick else pytest.mark.slow
            yield pytest.param(mode, door, case, marks=marks, id=f"{mode}-{door.__name__}-{case.__name__}")


@pytest.mark.parametrize(("mode", "door", "case"), list(matrix()))
async def test_habit(
    mode: str,
    door: type[Talk],
    case: Callable[[World], Awaitable[None]],
    directory: Path,
    aiohttp_client: Start,
) -> None:
    """Whatever a server does not take, and whatever happens, the next turns are answered."""
    async with world(mode, door, directory, aiohttp_client) as made:
        await case(made)
        await made.assert_answered()
