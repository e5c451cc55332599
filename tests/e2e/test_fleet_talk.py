"""Conversations that go on at another node, with real processes that are killed and paused."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.conftest import Server
from tests.e2e.fleet import node, prepare, talking
from tests.fleet.conftest import nats_server
from tests.fleet.nats_server import NatsServer

pytestmark = pytest.mark.slow

__all__ = ["nats_server"]


@pytest.fixture
async def nodes(tmp_path: Path, nats_server: NatsServer) -> AsyncIterator[list[Server]]:
    """Two nodes of a fleet."""
    fleet = f"e2e{uuid4().hex}"
    await prepare(nats_server.url, fleet)
    async with AsyncExitStack() as stack:
        names = ("n1", "n2")
        yield [await stack.enter_async_context(node(tmp_path, nats_server.url, fleet, name)) for name in names]


async def test_a_conversation_outlives_its_node(nodes: list[Server]) -> None:
    """After `kill -9` of its node a client finds all that was acknowledged at another one."""
    one, other = nodes
    async with talking(one) as lost:
        for text in ("one", "two", "three"):
            await lost.say(text)
        await one.stop(signal.SIGKILL)
        async with talking(other, lost.id) as talker:
            assert (talker.id, await talker.missing(lost.kept)) == (lost.id, [])
            assert (await talker.say("four"))["status"] == "completed"


async def test_a_paused_node_adds_nothing_when_it_goes_on(nodes: list[Server]) -> None:
    """A node that was stopped while its client went to another one acknowledges nothing more, and closes with 4009."""
    one, other = nodes
    async with talking(one) as lost:
        await lost.say("one")
        one.process.send_signal(signal.SIGSTOP)
        try:
            async with talking(other, lost.id) as talker:
                assert await talker.missing(lost.kept) == []
                await talker.say("two")
                await lost.send("response.create")
                one.process.send_signal(signal.SIGCONT)
                events, code = await lost.rest()
                assert ("response.done" in [event["type"] for event in events], code) == (False, 4009)
                assert await talker.missing(talker.kept) == []
                await talker.say("three")
        finally:
            one.process.send_signal(signal.SIGCONT)


async def test_the_engine_may_be_away_for_a_moment(nodes: list[Server], nats_server: NatsServer) -> None:
    """What is said while the engine is paused is acknowledged when it is back, and is there at the other node."""
    one, other = nodes
    async with talking(one) as lost:
        await lost.say("one")
        nats_server.pause()
        saying = asyncio.create_task(lost.say("two"))
        await asyncio.sleep(1)
        nats_server.go_on()
        await saying
        await one.stop(signal.SIGKILL)
        async with talking(other, lost.id) as talker:
            assert await talker.missing(lost.kept) == []
