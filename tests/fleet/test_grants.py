"""What a node may do on the server; the contract of an engine shows that it suffices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from tests.fleet.nats_server import FLEET, NODE, NatsServer


@pytest.fixture
async def errors() -> asyncio.Queue[str]:
    return asyncio.Queue()


@pytest.fixture
async def node(nats_server: NatsServer, errors: asyncio.Queue[str]) -> AsyncIterator[Client]:
    """A client with the grants of a node, whose errors are put into a queue."""

    async def note(error: Exception) -> None:
        errors.put_nowait(str(error))

    client = Client()
    await client.connect(nats_server.url_of(NODE), error_cb=note)
    yield client
    await client.close()


@pytest.mark.parametrize(
    "subject",
    [
        f"$JS.API.STREAM.DELETE.{FLEET}_state",
        f"$JS.API.STREAM.UPDATE.{FLEET}_state",
        f"$JS.API.STREAM.MSG.DELETE.{FLEET}_talk",
        f"$JS.API.STREAM.SNAPSHOT.{FLEET}_state",
        "$JS.API.STREAM.CREATE.other",
        "$JS.API.STREAM.MSG.GET.other_state",
        f"$JS.API.CONSUMER.CREATE.{FLEET}_state",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{FLEET}_state.x",
        f"$JS.API.DIRECT.GET.{FLEET}_state.{FLEET}.state.desired",
        "$JS.API.STREAM.NAMES",
        "other.state.desired",
        "$SYS.REQ.SERVER.PING",
    ],
)
async def test_a_node_may_not_publish_it(node: Client, errors: asyncio.Queue[str], subject: str) -> None:
    """Requests that no node needs, and those of other fleets, are refused."""
    await node.publish(subject, b"{}")
    error = await asyncio.wait_for(errors.get(), 30)
    assert "permissions violation for publish" in error.lower()


@pytest.mark.parametrize("subject", [">", "other.hint.>", f"{FLEET}.talk.>", f"{FLEET}.state.>", "$JS.API.>"])
async def test_a_node_may_not_subscribe_to_it(node: Client, errors: asyncio.Queue[str], subject: str) -> None:
    """What a node does not listen to is refused."""
    await node.subscribe(subject)
    error = await asyncio.wait_for(errors.get(), 30)
    assert "permissions violation for subscription" in error.lower()
