"""Pings, and the end of a session whose client returns no pong."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import WSMsgType

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import METRICS
from charhost.web.sessions import heartbeat
from tests.conftest import Client
from tests.e2e.websocket_frames import TEXT, handshake, head
from tests.web.sessions.parts import Line, session

REALTIME = "/v1/realtime?dialect=ga"
LIST = {"type": "session.characters.list"}
LIMIT = 180

Start = Callable[..., Awaitable[Client]]


@pytest.fixture
def start(aiohttp_client: Start, settings: Settings) -> Start:
    """Starts a server with further settings."""

    async def start(**more: object) -> Client:
        return await aiohttp_client(create_app(Settings(directory=settings.directory, **more)))

    return start


def ended(client: Client, reason: str) -> float | None:
    """Return the number of sessions that ended for that reason."""
    return client.app[METRICS].registry.get_sample_value("charhost_sessions_closed_total", {"reason": reason})


async def until_end(reader: asyncio.StreamReader) -> bytes:
    """Return all bytes until the connection is closed or cut."""
    received = b""
    try:
        while piece := await asyncio.wait_for(reader.read(1 << 16), LIMIT):
            received += piece
    except ConnectionError:
        pass
    return received


def test_a_client_has_a_minute_and_a_half() -> None:
    """The usual timeout leaves room for four pings."""
    assert Settings().heartbeat_timeout == 90 > 4 * heartbeat.PING_INTERVAL


async def test_a_client_that_answers_no_ping_is_still_there(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing waits for a client, it may be silent through many pings, and then be answered."""
    monkeypatch.setattr(heartbeat, "PING_INTERVAL", 0.02)
    async with client.ws_connect(REALTIME, autoping=False) as ws:
        assert (await ws.receive_json())["type"] == "session.created"
        pings = [(await ws.receive(timeout=LIMIT)).type for _ in range(20)]
        assert pings == [WSMsgType.PING] * 20
        await ws.send_json(LIST)
        assert await reply(ws) == "session.characters.listed"


async def test_a_silent_client_gets_a_close_frame_and_is_cut(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """After the timeout the close frame is tried, and the transport cut; the log has the reason."""
    caplog.set_level(logging.INFO)
    client = await start(heartbeat_timeout=0.3, close_grace=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(handshake(client.port or 0))
    received = await until_end(reader)
    assert received.count(b"\x89\x00") >= 2
    assert received.endswith(b"\x03\xf3The client answered no ping")  # close code 1011
    assert "a client of character Ada answered no ping for 0." in caplog.text
    assert ended(client, "heartbeat") == 1
    writer.close()


async def test_a_silent_client_can_resume(start: Start) -> None:
    """A client whose network was away for too long goes on with its conversation."""
    client = await start(heartbeat_timeout=0.3, close_grace=0.2)
    async with client.ws_connect(REALTIME, autoping=False) as ws:
        lost = (await ws.receive_json())["session"]["id"]
        while (await ws.receive(timeout=LIMIT)).type is WSMsgType.PING:
            pass
        assert ws.close_code == 1011
    async with client.ws_connect(f"{REALTIME}&resume={lost}") as ws:
        assert (await ws.receive_json())["session"]["id"] == lost


async def test_a_pong_is_a_sign(start: Start) -> None:
    """A client that only answers pings stays, however long it is idle."""
    client = await start(heartbeat_timeout=0.6)
    async with client.ws_connect(REALTIME, autoping=False) as ws:
        await ws.receive_json()
        for _ in range(10):  # three times the timeout
            ping = await ws.receive(timeout=LIMIT)
            assert ping.type is WSMsgType.PING
            await ws.pong(ping.data)
        await ws.send_json(LIST)
        assert await reply(ws) == "session.characters.listed"


async def test_the_ping_of_a_client_is_answered(client: Client) -> None:
    """A client that pings gets its own payload back."""
    async with client.ws_connect(REALTIME, autoping=False) as ws:
        await ws.receive_json()
        await ws.ping(b"still there?")
        pong = await ws.receive(timeout=LIMIT)
        assert (pong.type, bytes(pong.data)) == (WSMsgType.PONG, b"still there?")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has the time of the last data")
async def test_a_message_on_its_way_is_a_sign(start: Start) -> None:
    """A client on a slow line cannot send a pong within a long message."""
    client = await start(heartbeat_timeout=0.6)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(handshake(client.port or 0))
    message = b'{"type": "session.characters.list"}'
    writer.write(head(TEXT, len(message)))
    for position in range(12):  # a byte for each ping: more than three times the timeout
        async with asyncio.timeout(LIMIT):
            await reader.readuntil(b"\x89\x00")
        writer.write(message[position : position + 1])
    writer.write(message[12:])
    async with asyncio.timeout(LIMIT):
        await reader.readuntil(b"session.characters.listed")
    writer.close()


async def test_there_is_no_silence_while_frames_wait() -> None:
    """A client for which frames wait is not read, so that it cannot be heard."""
    line = Line()
    line.free.clear()
    stalled = session(line)
    pump = asyncio.create_task(stalled.outbox.pump(stalled.ws))
    stalled.send("taken")
    stalled.send("waiting")
    beating = heartbeat.Heartbeat(stalled, 0.05)
    await asyncio.sleep(0.5)
    assert stalled.closing.reason is None
    line.free.set()
    async with asyncio.timeout(LIMIT):
        await stalled.closing.began.wait()
        await pump
    assert stalled.closing.reason == "heartbeat"
    beating.stop()


async def reply(ws: Any) -> str:
    """Return the type of the next event after pings."""
    while (message := await ws.receive(timeout=LIMIT)).type is WSMsgType.PING:
        pass
    return str(message.json()["type"])
