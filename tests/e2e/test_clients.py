"""A real server process, with clients on raw sockets that break every convention."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from charhost.settings import Settings
from charhost.web.app import create_app
from scripts.benchmarks import processes
from tests.conftest import Client, character
from tests.e2e.conftest import UNTAPPED
from tests.e2e.server_process import start_server
from tests.e2e.websocket_frames import CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, frame, handshake, head

# A whole percent of them is silent, another one has a full send buffer. With CROWD=5000 the test takes 15 s.
CROWD = int(os.environ.get("CROWD", "1000"))

# How long anything may take before a test gives up: nothing here is a measurement.
LIMIT = 180.0

_sources = count()


class Peer(asyncio.Protocol):
    """A WebSocket client without manners: it notes what it is sent, and does what a test requests.

    `answer` is called with the payload of the server's close frame; by itself a peer answers it and hangs up.
    """

    def __init__(self, answer: Callable[[Peer, bytes], None] | None = None, *, polite: bool = True) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[int | None] = loop.create_future()
        self.code: int | None = None
        self.texts: list[Any] = []
        self.pongs: list[bytes] = []
        self.can_write = True
        self.transport: asyncio.Transport
        self._answer = answer or Peer.hang_up
        self._polite = polite
        self._buffer = b""
        self._news = asyncio.Event()

    @property
    def fatal(self) -> str | None:
        """The code of the fatal event, if there was one."""
        errors = (text["error"] for text in self.texts if text["type"] == "error")
        return next((error["code"] for error in errors if error["type"] == "fatal"), None)

    @property
    def farewell(self) -> tuple[str | None, int | None]:
        """Return the last event."""
        return self.fatal, self.code

    def send(self, data: bytes) -> None:
        """Write *data*, if the connection is still there."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def ask(self, **event: Any) -> None:
        """Send one event."""
        self.send(frame(TEXT, json.dumps(event).encode()))

    def hang_up(self, payload: bytes) -> None:
        """Send a close frame and close the connection."""
        self.send(frame(CLOSE, payload))
        self.transport.close()

    async def text(self, kind: str) -> Any:
        """Wait for an event of a type, and forget the events up to it."""
        async with asyncio.timeout(LIMIT):
            while True:
                while self.texts:
                    if (event := self.texts.pop(0))["type"] == kind:
                        return event
                self._news.clear()
                await self._news.wait()

    async def end(self) -> int | None:
        """Wait until the connection is closed; return the code of the close frame."""
        async with asyncio.timeout(LIMIT):
            return await asyncio.shield(self.ended)

    async def fill(self) -> None:
        """Send unknown events and read no response, until the server has read none for a moment."""
        still = 0
        while still < 25:
            assert not self.ended.done(), "the server has closed the connection"
            if self.can_write:
                still = 0
                self.send(frame(TEXT, b'{"type": "nobody.knows"}') * 200)
            else:
                still += 1
            await asyncio.sleep(0 if self.can_write else 0.02)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(self.code)
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("refused"))
            self.opened.exception()

    def eof_received(self) -> bool:
        if not self._polite and not self.ended.done():
            self.ended.set_result(self.code)
        return not self._polite

    def pause_writing(self) -> None:
        self.can_write = False

    def resume_writing(self) -> None:
        self.can_write = True

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.opened.done():
            answer, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert answer.startswith(b"HTTP/1.1 101"), answer
            self._buffer = rest
            self.opened.set_result(None)
        while (found := self._frame()) is not None:
            self._take(*found)

    def _frame(self) -> tuple[int, bytes] | None:
        """Take the first frame off the buffer, once it is complete."""
        if len(self._buffer) < 2:
            return None
        size, start = self._buffer[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(self._buffer) < start:
                return None
            size = int.from_bytes(self._buffer[2:start], "big")
        if len(self._buffer) < start + size:
            return None
        opcode, payload = self._buffer[0] & 15, self._buffer[start : start + size]
        self._buffer = self._buffer[start + size :]
        return opcode, payload

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self.texts.append(json.loads(payload))
            self._news.set()
        elif opcode == PING:
            self.send(frame(PONG, payload))
        elif opcode == PONG:
            self.pongs.append(payload)
            self._news.set()
        elif opcode == CLOSE:
            self.code = int.from_bytes(payload[:2], "big")
            self._answer(self, payload)


class Server:
    """A charhost process with one character, Ada, and the peers that a test connects to it."""

    def __init__(self, directory: Path, close_grace: int = 1) -> None:
        self.port = processes.free_port()
        self.peers: list[Peer] = []
        self._output = directory.with_suffix(".log")
        options = ("--directory", str(directory), "--port", str(self.port), "--close-grace", str(close_grace))
        self.process = start_server(*options, output=self._output, environment=UNTAPPED)
        self._wait_until_it_listens()

    def _wait_until_it_listens(self) -> None:
        until = time.monotonic() + LIMIT
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"the server does not listen: {self._output.read_text()}")

    def stop(self) -> None:
        """End the process, whatever its state."""
        self.process.kill()
        self.process.wait()

    async def exit(self) -> int:
        """Wait for the end of the process."""
        return await asyncio.to_thread(self.process.wait, LIMIT)

    async def ask(self, method: str, path: str, body: object = None) -> bytes:
        """Make a request that must succeed."""
        return await asyncio.to_thread(self._ask, method, path, body)

    def _ask(self, method: str, path: str, body: object) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 200, answer
            return answer
        finally:
            connection.close()

    async def reload(self, **fields: Any) -> Any:
        """Reload the characters, and return the report."""
        return json.loads(await self.ask("POST", "/v1/characters/reload", fields))

    async def metric(self, name: str) -> float:
        """The value of one sample; 0 if there is none."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", (await self.ask("GET", "/metrics")).decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def generations(self) -> dict[int, int]:
        """How many sessions there are on each generation."""
        status = json.loads(await self.ask("GET", "/v1/characters/status"))
        return {entry["generation"]: entry["sessions"] for entry in status["generations"]}

    async def dial(self, peer: Peer | None = None, *, window: int | None = None) -> Peer:
        """Make a TCP connection, from one of several addresses so that none runs out of ports."""
        peer = peer or Peer()
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((f"127.0.0.{2 + next(_sources) % 8}", 0))
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self.port))
        await loop.create_connection(lambda: peer, sock=sock)
        self.peers.append(peer)
        return peer

    async def connect(self, peer: Peer | None = None, *, window: int | None = None) -> Peer:
        """Open a session."""
        peer = await self.dial(peer, window=window)
        async with asyncio.timeout(LIMIT):
            peer.send(handshake(self.port))
            await peer.opened
        return peer

    async def crowd(self, number: int) -> list[Peer]:
        """Open many sessions."""
        gate = asyncio.Semaphore(100)

        async def one() -> Peer:
            async with gate:
                return await self.connect()

        return list(await asyncio.gather(*(one() for _ in range(number))))

    async def fill(self, *peers: Peer) -> None:
        """Have peers send unknown events and read no response, until the server, which is idle, reads no more."""
        clock, used = processes.processor_clock(self.process.pid), 1.0
        async with asyncio.timeout(LIMIT):
            while used > 0.02:
                before = time.clock_gettime(clock)
                await asyncio.gather(*(peer.fill() for peer in peers))
                used = time.clock_gettime(clock) - before

    async def no_session_is_left(self) -> None:
        """Wait until the server counts no session."""
        async with asyncio.timeout(LIMIT):
            while await self.metric("charhost_sessions_active"):
                await asyncio.sleep(0.05)

    async def serves_on(self) -> None:
        """Check health, a session with a response, a reload, and its event in that session."""
        assert json.loads(await self.ask("GET", "/v1/health"))["ok"] is True
        peer = await self.connect()
        await is_answered(peer)
        assert (await self.reload())["outcome"] == "applied"
        assert (await peer.end(), peer.farewell) == (1012, ("characters_reloaded", 1012))
        assert self.process.poll() is None


async def is_answered(peer: Peer) -> None:
    """Check that a session responds to an event."""
    peer.ask(type="session.update", session={"instructions": "Be quick."})
    await peer.text("session.updated")


@pytest.fixture(scope="module")
def many_files() -> Iterator[None]:
    """Allow this process as many sockets as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it running: each finds it as the one before has left it."""
    directory = tmp_path_factory.mktemp("characters")
    (directory / "ada.py").write_text(character("Ada"))
    server = Server(directory)
    yield server
    server.stop()


@pytest.fixture
async def server(process: Server) -> AsyncIterator[Server]:
    """The running server; the peers of a test go with it."""
    yield process
    await dismiss(process)


@pytest.fixture
async def mortal(directory: Path) -> AsyncIterator[Server]:
    """A server that the test may stop."""
    server = await asyncio.to_thread(Server, directory)
    yield server
    server.stop()
    await dismiss(server)


@pytest.fixture
async def patient(directory: Path) -> AsyncIterator[Server]:
    """A server that gives clients minutes to take their farewell."""
    server = await asyncio.to_thread(Server, directory, 600)
    yield server
    server.stop()
    await dismiss(server)


async def dismiss(server: Server) -> None:
    """Cut all peers off."""
    for peer in server.peers:
        with suppress(AttributeError):  # CPython's transport may stumble over an abort after its end
            peer.transport.abort()
    server.peers.clear()
    await asyncio.sleep(0)


@pytest.mark.usefixtures("many_files")
async def test_reading_clients_are_notified_while_others_are_silent_or_stuck(server: Server) -> None:
    """The 98 % of clients that read are notified of a reload and closed with 1012, whatever the other 2 % do."""
    readers = await server.crowd(CROWD - 2 * (CROWD // 100))
    silent = [await server.connect() for _ in range(CROWD // 100)]
    stuck = [await server.connect(window=4096) for _ in range(CROWD // 100)]
    for peer in silent + stuck:
        peer.transport.pause_reading()
    await server.fill(*stuck)
    report = await server.reload()
    await asyncio.gather(*(peer.end() for peer in readers))
    assert Counter(peer.farewell for peer in readers) == {("characters_reloaded", 1012): len(readers)}
    assert report["sessions"] == {"policy": "close", "total": CROWD, "affected": CROWD}
    await server.no_session_is_left()
    await server.serves_on()


def never(peer: Peer, payload: bytes) -> None:
    """Do nothing."""


def twice(peer: Peer, payload: bytes) -> None:
    """Send the close frame two times."""
    peer.send(frame(CLOSE, payload) * 2)


def garbage(peer: Peer, payload: bytes) -> None:
    """Send bytes that are no frame."""
    peer.send(b"\xff\xfe" * 5000)


@pytest.mark.parametrize("answer", [never, twice, garbage])
async def test_the_reply_to_a_close_affects_no_other_client(
    server: Server, answer: Callable[[Peer, bytes], None]
) -> None:
    """A client that responds to its close in any other way is gone after the grace period at the latest."""
    odd = await server.connect(Peer(answer, polite=False))
    other = await server.connect()
    await server.reload()
    assert await other.end() == 1012
    await server.no_session_is_left()
    assert await odd.end() == 1012
    assert odd.fatal == "characters_reloaded"
    await server.serves_on()


async def test_an_answer_that_comes_after_five_seconds_changes_nothing(server: Server) -> None:
    """The close frame of a client that was disconnected before has no effect."""
    odd = await server.connect(Peer(never, polite=False))
    await server.reload()
    await odd.end()
    await asyncio.sleep(5)
    odd.hang_up(b"\x03\xf4")
    await server.serves_on()


async def test_one_stuck_client_delays_neither_the_answer_nor_another(patient: Server) -> None:
    """With one full send buffer the report comes, and the other session is closed, before the stuck one is cut off."""
    stuck = await patient.connect(window=4096)
    stuck.transport.pause_reading()
    await patient.fill(stuck)
    other = await patient.connect()
    await patient.reload()
    assert await other.end() == 1012
    assert await patient.metric("charhost_sessions_active") == 1
    stuck.transport.abort()
    await patient.no_session_is_left()
    await patient.serves_on()


@pytest.mark.slow
async def test_a_client_that_floods_without_reading_is_cut_off(server: Server) -> None:
    """A client that sends unknown events and does not read is disconnected, and other clients are not affected."""
    before = await server.metric('charhost_sessions_closed_total{reason="stalled"}')
    other = await server.connect()
    flood = await server.connect(window=4096)
    flood.transport.pause_reading()
    async with asyncio.timeout(LIMIT):
        while not flood.ended.done():
            if flood.can_write:
                flood.send(frame(TEXT, b'{"type": "nobody.knows"}') * 200)
            await asyncio.sleep(0 if flood.can_write else 0.01)
    await is_answered(other)
    assert await server.metric('charhost_sessions_closed_total{reason="stalled"}') == before + 1
    await server.serves_on()


async def test_others_are_answered_while_a_client_floods(server: Server) -> None:
    """During a flood of a client that reads, another session has a response."""
    flood, other = await server.connect(), await server.connect()
    flooding = asyncio.create_task(pour(flood))
    for _ in range(20):
        await is_answered(other)
    flooding.cancel()
    assert flood.ended.done() is False
    await server.serves_on()


async def pour(peer: Peer) -> None:
    """Send unknown events as fast as the server takes them."""
    while True:
        if peer.can_write:
            peer.send(frame(TEXT, b'{"type": "nobody.knows"}') * 20)
        await asyncio.sleep(0.001)
        peer.texts.clear()


async def test_a_frame_of_25_mib_is_refused(server: Server) -> None:
    """A message beyond the limit closes its session with 1009, and only that."""
    large, other = await server.connect(), await server.connect()
    large.send(frame(TEXT, b" " * (25 << 20)))
    assert await large.end() == 1009
    await is_answered(other)
    await server.serves_on()


async def test_a_frame_that_is_announced_as_large_is_refused(server: Server) -> None:
    """A frame is refused by its announced size, before its bytes."""
    peer = await server.connect()
    peer.send(head(TEXT, 1 << 40))
    assert await peer.end() == 1009
    await server.serves_on()


async def test_a_message_that_is_too_large_in_pieces_is_refused(server: Server) -> None:
    """Fragments are added up: seven of 4 MiB are one message of 28."""
    peer = await server.connect()
    peer.send(frame(TEXT, b" " * (4 << 20), final=False))
    for _ in range(6):
        peer.send(frame(CONTINUATION, b" " * (4 << 20), final=False))
    assert await peer.end() == 1009
    await server.serves_on()


async def test_fragments_are_one_message(server: Server) -> None:
    """An event may be sent in fragments, with a ping between them that has its pong."""
    peer = await server.connect()
    event = json.dumps({"type": "session.update", "session": {"instructions": "Be quick."}}).encode()
    peer.send(frame(TEXT, event[:10], final=False) + frame(PING, b"?"))
    peer.send(frame(CONTINUATION, event[10:11], final=False) + frame(CONTINUATION, event[11:]))
    assert (await peer.text("session.updated"))["session"]["instructions"] == "Be quick."
    assert peer.pongs == [b"?"]
    await server.serves_on()


@pytest.mark.parametrize(
    "data",
    [b"\x8b\x80" + MASK, b"\xf1\x80" + MASK, frame(CONTINUATION, b"x"), frame(PING, b"x" * 126), b"\x00" * 512],
    ids=["reserved opcode", "reserved bits", "continuation of nothing", "long ping", "zeros"],
)
async def test_what_is_no_websocket_ends_its_own_session_only(server: Server, data: bytes) -> None:
    """A protocol error closes the connection with 1002, and only that connection."""
    peer, other = await server.connect(), await server.connect()
    peer.send(data)
    assert await peer.end() == 1002
    await is_answered(other)
    await server.serves_on()


async def test_a_client_that_vanishes_is_found_by_the_heartbeat(
    aiohttp_client: Callable[..., Awaitable[Client]], settings: Settings
) -> None:
    """The session of a peer that sends no pong ends."""
    client = await aiohttp_client(create_app(Settings(directory=settings.directory, heartbeat_timeout=0.3)))
    peer = Peer()
    port = client.port or 0
    await asyncio.get_running_loop().create_connection(lambda: peer, "127.0.0.1", port)
    peer.send(handshake(port))
    await peer.opened
    peer.transport.pause_reading()
    assert await sessions(client) == 1
    async with asyncio.timeout(LIMIT):
        while await sessions(client):
            await asyncio.sleep(0.05)
    peer.transport.abort()


async def sessions(client: Client) -> int:
    """Return the number of open sessions."""
    status = await (await client.get("/v1/characters/status")).json()
    return sum(entry["sessions"] for entry in status["generations"])


async def test_a_handshake_that_arrives_byte_by_byte_delays_no_other(server: Server) -> None:
    """During a slow handshake a reload notifies other clients, and the new session has the new set."""
    slow, other = await server.dial(), await server.connect()
    text = handshake(server.port)
    for index, byte in enumerate(text):
        slow.send(bytes([byte]))
        await asyncio.sleep(float(os.environ.get("HANDSHAKE_SECONDS", "2")) / len(text))
        if index == len(text) // 2:
            await server.reload()
            assert await other.end() == 1012
    await slow.opened
    await is_answered(slow)
    await server.serves_on()


@pytest.mark.parametrize("part", [0, 1, 100], ids=["nothing", "a byte", "half a header"])
async def test_a_client_that_leaves_during_the_handshake_leaves_nothing(server: Server, part: int) -> None:
    """Connections that end before they are sessions are forgotten."""
    for _ in range(50):
        peer = await server.dial()
        peer.send(handshake(server.port)[:part])
        await asyncio.sleep(0)
        peer.transport.abort()
    await server.no_session_is_left()
    await server.serves_on()


@pytest.mark.usefixtures("many_files")
async def test_each_session_opened_during_a_reload_is_new_or_notified(server: Server) -> None:
    """Of 500 sessions opened while the set is replaced each is on the new generation, or is closed with 1012."""
    opening = asyncio.create_task(server.crowd(500))
    while len(server.peers) < 100:
        await asyncio.sleep(0)
    generation = (await server.reload())["generation"]
    peers = await opening
    async with asyncio.timeout(LIMIT):
        while set(found := await server.generations()) - {generation}:
            await asyncio.sleep(0.02)
    closed = [peer for peer in peers if peer.code is not None]
    assert len(peers) == len(closed) + found.get(generation, 0)
    assert {peer.farewell for peer in closed} == {("characters_reloaded", 1012)}
    await server.serves_on()


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("reading", [90, pytest.param(990, marks=pytest.mark.slow)])
async def test_shutdown_closes_many_sessions_and_ends(mortal: Server, reading: int) -> None:
    """SIGTERM closes all clients that read with 1001, does not wait for the others, and ends with status 0."""
    readers = await mortal.crowd(reading)
    stuck = [await mortal.connect(window=4096) for _ in range(10)]
    for peer in stuck:
        peer.transport.pause_reading()
    await mortal.fill(*stuck)
    mortal.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        await asyncio.gather(*(peer.end() for peer in readers))
        assert await mortal.exit() == 0
    assert Counter(peer.farewell for peer in readers) == {(None, 1001): reading}


async def test_a_client_in_the_middle_of_its_handshake_does_not_hold_up_the_end(mortal: Server) -> None:
    """The server ends although one handshake is incomplete."""
    peer = await mortal.dial()
    peer.send(handshake(mortal.port)[:-2])
    await asyncio.sleep(0.1)
    mortal.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        assert await mortal.exit() == 0


async def test_a_handshake_that_is_completed_during_shutdown_is_turned_away(mortal: Server) -> None:
    """A handshake that is completed during the shutdown is closed or refused, and not waited for."""
    stuck = await mortal.connect(window=4096)
    stuck.transport.pause_reading()
    await mortal.fill(stuck)
    peer = await mortal.dial()
    peer.send(handshake(mortal.port)[:-2])
    await asyncio.sleep(0.1)
    mortal.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    peer.send(handshake(mortal.port)[-2:])
    async with asyncio.timeout(60):
        assert await peer.end() in (None, 1001)
        assert await mortal.exit() == 0


async def test_a_session_that_opens_during_shutdown_is_closed(settings: Settings) -> None:
    """A session whose handshake overlaps the shutdown is closed."""
    app, held, go = create_app(settings), asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request, response: web.StreamResponse) -> None:
        held.set()
        await go.wait()

    app.on_response_prepare.append(hold)
    async with TestClient(TestServer(app)) as client:
        peer, port = Peer(), client.port or 0
        await asyncio.get_running_loop().create_connection(lambda: peer, "127.0.0.1", port)
        peer.send(handshake(port))
        await held.wait()
        await app.shutdown()
        go.set()
        assert await peer.end() == 1001
