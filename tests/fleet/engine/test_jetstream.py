"""The engine on JetStream, when its server and the way to it fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from charhost.fleet.engine.engine import Engine, NotSetUp, Unavailable
from charhost.fleet.engine.nats import NatsConnection, _Client
from charhost.fleet.hints import Hints
from scripts.benchmarks.fleet.proxy import Proxy
from tests.fleet.engines import connect
from tests.fleet.nats_server import NatsServer

FLEET = "faults"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of this test's own."""
    server = NatsServer(tmp_path / "nats")
    yield server
    server.kill()


@pytest.fixture
async def proxy(server: NatsServer) -> AsyncIterator[Proxy]:
    proxy = Proxy(server.port)
    await proxy.start()
    yield proxy
    await proxy.close()


@pytest.fixture
async def far(proxy: Proxy) -> AsyncIterator[Engine]:
    """An engine behind the proxy."""
    engine = await connect([proxy.url], FLEET)
    await engine.setup(1)
    yield engine
    await engine.close()
    assert not [task for task in asyncio.all_tasks() if "fleet" in task.get_name()]


@pytest.fixture
async def near(server: NatsServer) -> AsyncIterator[Engine]:
    """An engine beside the server."""
    engine = await connect([server.url], FLEET)
    yield engine
    await engine.close()


async def connected(engine: Engine) -> None:
    async with asyncio.timeout(60):
        while not engine.is_connected:
            await asyncio.sleep(0.01)


async def test_it_comes_back_after_the_server(server: NatsServer, near: Engine) -> None:
    """After `kill -9` and a restart the listeners are called, and what was acknowledged is there."""
    await near.setup(1)
    hints = Hints()
    near.on_hint("desired", hints.notify)
    sequence = await near.write("state.desired", b"x", 0)
    await hints.wait(0, 60)
    seen = hints.count
    server.kill()
    with pytest.raises(Unavailable):
        await near.read("state.desired")
    server.start()
    assert await hints.wait(seen, 60) > seen
    found = await near.read("state.desired")
    assert found is not None
    assert (found.sequence, found.data) == (sequence, b"x")
    seen = hints.count
    await near.write("state.desired", b"y", sequence)
    assert await hints.wait(seen, 60) > seen


async def test_any_bytes_may_be_in_a_header(server: NatsServer, near: Engine) -> None:
    """A message of another writer, with a header that is not UTF-8, is read and replaced like any other."""
    await near.setup(1)
    headers = b"NATS/1.0\r\nx: \xff\xfe\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b'CONNECT {"headers": true, "verbose": false}\r\n')
    writer.write(b"HPUB faults.state.desired %d %d\r\n%b?\r\nPING\r\n" % (len(headers), len(headers) + 1, headers))
    await reader.readuntil(b"PONG")
    writer.close()
    found = await near.read("state.desired")
    assert found is not None
    assert found.data == b"?"
    assert await near.write("state.desired", b"x", found.sequence) == found.sequence + 1


async def test_a_lost_store_is_told_from_a_server_that_is_down(server: NatsServer, near: Engine) -> None:
    """A server with an empty disk says so, and everything can be made again."""
    await near.setup(1)
    await near.write("talk.a", b"x", 0)
    server.kill()
    server.lose()
    server.start()
    await connected(near)
    for request in (near.read("talk.a"), near.write("talk.a", b"y", 1), near.walk("talk.a"), near.store_blob(b"z")):
        with pytest.raises(NotSetUp):
            await request
    await near.setup()
    assert await near.write("talk.a", b"y", 0) == 1


async def test_a_lost_acknowledgement_is_found_out(proxy: Proxy, far: Engine, near: Engine) -> None:
    """A write whose acknowledgement was lost is stored once, and its writer learns the sequence."""
    proxy.is_deaf = True
    writing = asyncio.create_task(far.write("talk.a", b"x", 0))
    async with asyncio.timeout(60):
        while not (found := await near.walk("talk.a")):
            await asyncio.sleep(0.01)
    proxy.is_deaf = False
    proxy.cut()
    assert await writing == found[0].sequence
    assert len(await near.walk("talk.a")) == 1


async def test_what_arrives_late_overwrites_nothing(proxy: Proxy, far: Engine, near: Engine) -> None:
    """A write that is stalled on its way has no effect when another one was quicker."""
    proxy.stall()
    late = asyncio.create_task(far.write("state.desired", b"late", 0))
    await asyncio.sleep(0.1)
    await near.write("state.desired", b"x", 0)
    proxy.go_on()
    (failure,) = await asyncio.gather(late, return_exceptions=True)
    assert isinstance(failure, Exception)
    found = await near.read("state.desired")
    assert found is not None
    assert found.data == b"x"


async def test_a_way_that_stalls_is_given_up(proxy: Proxy, far: Engine) -> None:
    """A server that takes everything and sends nothing is unavailable, and soon not connected any more."""
    proxy.stall()
    with pytest.raises(Unavailable):
        await far.read("state.desired")
    async with asyncio.timeout(60):
        while far.is_connected:
            await asyncio.sleep(0.05)
    proxy.go_on()
    await connected(far)
    assert await far.read("state.desired") is None


async def test_a_slow_way_is_no_fault(proxy: Proxy, far: Engine) -> None:
    """With a tenth of a second each way everything works."""
    proxy.delay = 0.1
    sequence = await far.write("talk.a", b"x", 0)
    assert [message.sequence for message in await far.walk("talk.a")] == [sequence]


@pytest.mark.slow
async def test_cuts_during_writes_lose_and_double_nothing(proxy: Proxy, far: Engine, near: Engine) -> None:
    """Each write during which the connection is cut is there once, in order."""
    last = 0
    for number in range(5):
        writing = asyncio.create_task(far.write("talk.a", b"%d" % number, last))
        await asyncio.sleep(0.0005 * number)
        proxy.cut()
        last = await writing
        await connected(far)
    assert [message.data for message in await near.walk("talk.a")] == [b"%d" % number for number in range(5)]


async def test_an_end_with_bytes_that_cannot_be_sent_is_noticed(
    proxy: Proxy, far: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is reset while bytes wait to be sent ends, and so do the tasks of its subscriptions."""
    before = asyncio.all_tasks()
    client, closed = _Client(), asyncio.Event()

    async def end() -> None:
        closed.set()

    async def ignore(*_: object) -> None: ...

    async def reset() -> None:
        raise ConnectionResetError

    await client.connect(proxy.url, allow_reconnect=False, closed_cb=end, error_cb=ignore, pending_size=1 << 20)
    await client.subscribe("x", cb=ignore)
    await client.publish("x", b"y")
    monkeypatch.setattr(client._transport, "drain", reset)
    proxy.cut()
    async with asyncio.timeout(60):
        await closed.wait()
        await connected(far)
        while len(asyncio.all_tasks()) > len(before):
            await asyncio.sleep(0.05)


async def test_an_end_in_the_moment_of_an_answer_is_an_end(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is closed in the moment in which its server answers does not go on."""
    connection = NatsConnection([server.url])

    async def flush(client: _Client, seconds: float) -> None:
        answer = asyncio.get_running_loop().create_future()

        def answered() -> None:
            answer.set_result(None)
            assert connection._keeping is not None
            connection._keeping.cancel()

        asyncio.get_running_loop().call_soon(answered)
        await asyncio.wait_for(answer, seconds)

    monkeypatch.setattr(_Client, "flush", flush)
    await connection.start()
    assert connection._keeping is not None
    _, left = await asyncio.wait([connection._keeping], timeout=30)
    await connection.close()
    assert not left
