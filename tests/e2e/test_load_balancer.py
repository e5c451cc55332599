"""Unmodified clients against a fleet behind a plain load balancer, without stickiness."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import aiohttp
import openai
import pytest

from tests.e2e.balanced import balance, needs_haproxy
from tests.e2e.conftest import PATIENCE, Server
from tests.e2e.fleet import node, prepare, talking
from tests.fleet.conftest import nats_server
from tests.fleet.nats_server import NatsServer

__all__ = ["nats_server"]

pytestmark = [pytest.mark.slow, needs_haproxy]


@dataclass
class Balanced:
    """A fleet, and the address of its load balancer."""

    nodes: list[Server]
    front: Server


@pytest.fixture
async def fleet(tmp_path: Path, nats_server: NatsServer) -> AsyncIterator[Balanced]:
    """Two nodes behind haproxy, which sends one request to each in turn."""
    name = f"balanced{uuid4().hex}"
    await prepare(nats_server.url, name)
    async with AsyncExitStack() as stack:
        names = ("n1", "n2")
        nodes = [await stack.enter_async_context(node(tmp_path, nats_server.url, name, one)) for one in names]
        urls = {name: server.url for name, server in zip(names, nodes, strict=True)}
        process, url = balance(tmp_path, "http", urls)
        front = replace(nodes[0], url=url)
        try:
            await ready(front)
            yield Balanced(nodes, front)
        finally:
            process.kill()
            process.wait()


async def ready(server: Server) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE):
        while True:
            try:
                async with http.get(f"{server.url}/v1/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def metrics(server: Server) -> str:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/metrics") as response:
        return await response.text()


async def test_openai_s_client_meets_both_nodes(fleet: Balanced) -> None:
    """Completions, chains of responses and what was stored of them work, whichever node has the request."""
    async with openai.AsyncOpenAI(base_url=f"{fleet.front.url}/v1", api_key="none", max_retries=0) as client:
        previous: str | openai.Omit = openai.omit
        ids = []
        for text in ("one", "two", "three", "four"):
            response = await client.responses.create(model="Ada", input=text, previous_response_id=previous)
            previous = response.id
            ids.append(response.id)
        for found in ids * 2:
            assert (await client.responses.retrieve(found)).id == found
        await client.responses.delete(ids[0])
        for _ in range(2):
            with pytest.raises(openai.NotFoundError):
                await client.responses.retrieve(ids[0])
        completion = await client.chat.completions.create(model="Ada", messages=[{"role": "user", "content": "Hi"}])
        assert completion.choices[0].message.content is not None
    for server in fleet.nodes:
        assert 'charhost_turns_total{front_door="responses",outcome="completed"} 2.0' in await metrics(server)


async def test_a_conversation_outlives_its_node(fleet: Balanced) -> None:
    """A client whose node is killed comes back through the same address, and finds all that was acknowledged."""
    async with talking(fleet.front) as lost:
        await lost.say("one")
        for server in fleet.nodes:
            if "charhost_sessions_active 1.0" in await metrics(server):
                await server.stop(signal.SIGKILL)
                break
        async with asyncio.timeout(PATIENCE), talking(fleet.front, lost.id) as talker:
            assert await talker.missing(lost.kept) == []
            await talker.say("two")
