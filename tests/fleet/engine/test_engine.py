"""The contract of an engine, which the one in memory and the one on JetStream keep."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

import pytest
from nats.aio.client import Client
from nats.errors import Error

from charhost.fleet.engine.engine import Conflict, Engine
from charhost.fleet.engine.jetstream import STREAM_NOT_FOUND
from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.hints import Hints
from tests.fleet.engines import connect as connect_to
from tests.fleet.nats_server import FLEET, NODE, NatsServer

Connect = Callable[[], Awaitable[Engine]]


async def in_memory() -> AsyncGenerator[Connect, None]:
    """Yield a function that connects one more node to a store in memory."""
    store = MemoryStore()

    async def connect_one() -> Engine:
        return MemoryEngine(store)

    yield connect_one


async def on_jetstream(servers: Sequence[NatsServer]) -> AsyncGenerator[Connect, None]:
    """Yield a function that connects one more node to an empty fleet, with the grants of a node."""
    await empty(servers[0])
    engines: list[Engine] = []

    async def connect_one() -> Engine:
        engines.append(await connect_to([server.url_of(NODE) for server in servers], FLEET))
        return engines[-1]

    yield connect_one
    for engine in engines:
        await engine.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def empty(server: NatsServer) -> None:
    """Delete the streams of the fleet, once a cluster has a leader that can."""
    client = Client()
    await client.connect(server.url)
    async with asyncio.timeout(60):
        for name in ("state", "bytes", "talk"):
            code = None
            while code not in (0, STREAM_NOT_FOUND):
                with contextlib.suppress(Error):
                    response = await client.request(f"$JS.API.STREAM.DELETE.{FLEET}_{name}", timeout=5)
                    code = json.loads(response.data).get("error", {}).get("err_code", 0)
    await client.close()


@pytest.fixture(params=["memory", "nats", pytest.param("cluster", marks=pytest.mark.slow)])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Yield a function that connects one more node to the same store, which is set up."""
    if request.param == "memory":
        connecting, replicas = in_memory(), 1
    elif request.param == "nats":
        connecting, replicas = on_jetstream([request.getfixturevalue("nats_server")]), 1
    else:
        connecting, replicas = on_jetstream(request.getfixturevalue("nats_cluster")), 3
    async with aclosing(connecting):
        connect_one = await anext(connecting)
        await (await connect_one()).setup(replicas)
        yield connect_one
        await anext(connecting, None)


@pytest.fixture
async def engine(connect: Connect) -> Engine:
    return await connect()


class TestEngine:
    """What every engine does."""

    async def test_an_empty_subject_has_no_message(self, engine: Engine) -> None:
        """Nothing is returned of a subject without a message."""
        assert await engine.read("state.desired") is None
        assert await engine.walk("talk.a") == []

    async def test_a_message_is_read_by_another_node(self, connect: Connect) -> None:
        """What one node wrote, another one reads."""
        one, other = await connect(), await connect()
        sequence = await one.write("state.desired", b"x", 0)
        found = await other.read("state.desired")
        assert found is not None
        assert (found.sequence, found.data) == (sequence, b"x")

    async def test_a_write_on_another_last_message_is_refused(self, engine: Engine) -> None:
        """A write whose condition does not hold is refused, and returns what it found."""
        await engine.write("state.desired", b"x", 0)
        with pytest.raises(Conflict) as refused:
            await engine.write("state.desired", b"y", 0)
        assert refused.value.found is not None
        assert refused.value.found.data == b"x"

    async def test_a_write_on_a_message_that_is_gone_is_refused(self, engine: Engine) -> None:
        """A writer that expects a message which was purged is refused, and found none."""
        sequence = await engine.write("talk.a", b"x", 0)
        await engine.purge("talk.a")
        with pytest.raises(Conflict) as refused:
            await engine.write("talk.a", b"y", sequence)
        assert refused.value.found is None

    async def test_one_of_many_writers_wins(self, connect: Connect) -> None:
        """Of writers with the same condition one writes, and all others find its message."""
        nodes = [await connect() for _ in range(5)]
        writing = [node.write("state.desired", bytes([i]), 0) for i, node in enumerate(nodes)]
        results = await asyncio.gather(*writing, return_exceptions=True)
        (winner,) = [i for i, result in enumerate(results) if isinstance(result, int)]
        lost = [result for result in results if isinstance(result, Conflict)]
        assert [conflict.found.data for conflict in lost if conflict.found] == [bytes([winner])] * 4

    async def test_a_state_keeps_the_last_message(self, engine: Engine) -> None:
        """Of a subject of the state the last message is left; the condition is its sequence."""
        first = await engine.write("state.node.a", b"x", 0)
        await engine.write("state.node.a", b"y", first)
        assert [message.data for message in await engine.walk("state.node.a")] == [b"y"]

    async def test_a_talk_keeps_all_messages(self, engine: Engine) -> None:
        """The messages of a conversation are returned in their order, also those after a sequence only."""
        first = await engine.write("talk.a", b"1", 0)
        between = await engine.write("talk.b", b"2", 0)
        last = await engine.write("talk.a", b"3", first)
        assert first < between < last
        assert [message.data for message in await engine.walk("talk.a")] == [b"1", b"3"]
        assert [message.sequence for message in await engine.walk("talk.a", first)] == [last]

    async def test_messages_before_a_sequence_are_purged(self, engine: Engine) -> None:
        """A purge drops what is older than a sequence, and leaves the sequence and other subjects."""
        first = await engine.write("talk.a", b"1", 0)
        await engine.write("talk.b", b"2", 0)
        last = await engine.write("talk.a", b"3", first)
        await engine.purge("talk.a", before=last)
        assert [message.data for message in await engine.walk("talk.a")] == [b"3"]
        assert [message.data for message in await engine.walk("talk.b")] == [b"2"]
        await engine.write("talk.a", b"4", last)

    async def test_a_message_ends_after_its_time(self, engine: Engine) -> None:
        """A message of one second is gone a little later, and the subject is empty again."""
        await engine.write("state.node.a", b"x", 0, ttl=1)
        assert await engine.names("state.node") == ["a"]
        async with asyncio.timeout(30):
            while await engine.read("state.node.a") is not None:
                await asyncio.sleep(0.1)
        assert await engine.names("state.node") == []
        await engine.write("state.node.a", b"y", 0)

    async def test_names_are_those_with_a_message(self, engine: Engine) -> None:
        """The names below a prefix are returned in order, and no others."""
        await engine.write("state.desired", b"x", 0)
        await engine.write("state.node.b", b"x", 0)
        await engine.write("state.node.a", b"x", 0)
        await engine.write("state.vote.c", b"x", 0)
        assert await engine.names("state.node") == ["a", "b"]
        assert await engine.names("state.epoch") == []

    async def test_times_are_those_of_the_engine(self, engine: Engine) -> None:
        """A message that was written later has a later time."""
        first = await engine.write("talk.a", b"1", 0)
        await engine.write("talk.a", b"2", first)
        one, other = await engine.walk("talk.a")
        assert 0 < one.stored <= other.stored

    async def test_a_blob_is_found_by_its_digest(self, connect: Connect) -> None:
        """A blob is named by the SHA-256 of its bytes, and stored once."""
        one, other = await connect(), await connect()
        data = bytes(range(256)) * 3000
        digest = await one.store_blob(data)
        assert digest == hashlib.sha256(data).hexdigest() == await other.store_blob(data)
        assert await other.load_blobs([digest]) == {digest: data}
        assert await other.names("bytes") == [digest]

    async def test_a_missing_blob_is_left_out(self, engine: Engine) -> None:
        """Blobs that were never stored, or were purged, are not returned."""
        kept, dropped = await engine.store_blob(b"kept"), await engine.store_blob(b"dropped")
        await engine.purge(f"bytes.{dropped}")
        assert await engine.load_blobs([dropped, "0" * 64, kept]) == {kept: b"kept"}

    async def test_a_write_of_the_register_hints_at_it(self, connect: Connect) -> None:
        """Whoever listens is woken by a write of the register, without another call."""
        one, other = await connect(), await connect()
        hints = Hints()
        other.on_hint("desired", hints.notify)
        await one.write("state.desired", b"x", 0)
        assert await hints.wait(0, 30) >= 1

    async def test_a_hint_reaches_every_node(self, connect: Connect) -> None:
        """A hint carries its data to the listeners of its topic, at all nodes and at its own."""
        nodes = [await connect() for _ in range(2)]
        heard: list[asyncio.Queue[bytes]] = [asyncio.Queue() for _ in nodes]
        for node, queue in zip(nodes, heard, strict=True):
            node.on_hint("talk", queue.put_nowait)
        await nodes[0].hint("vote", b"v")
        await nodes[0].hint("talk", b"t")
        async with asyncio.timeout(30):
            assert [await queue.get() for queue in heard] == [b"t", b"t"]

    async def test_the_process_of_a_name_responds(self, connect: Connect) -> None:
        """A node that uses a name is found by it, until it is closed."""
        one, other = await connect(), await connect()
        assert await other.ask("a") is None
        await one.respond("a", b"instance")
        assert await other.ask("a") == b"instance"
        await one.close()
        assert await other.ask("a") is None
