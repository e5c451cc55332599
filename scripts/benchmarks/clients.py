"""WebSocket clients (RFC 6455) that cost little, so that thousands fit beside the server that is measured."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Iterable

from charhost.jsontext import Json

_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: realtime\r\n\r\n"
)
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_AT_ONCE = 50  # handshakes


class Client(asyncio.Protocol):
    """One client: `opened` when the server has upgraded the connection, `closed` with the time of the close frame.

    `texts` has the events as they came, `code` the close code; None if the connection was lost without a close frame.
    """

    def __init__(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[float] = loop.create_future()
        self.texts: list[bytes] = []
        self.code: int | None = None
        self._news = asyncio.Event()
        self._path = path
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_HANDSHAKE.format(path=self._path).encode())

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self.opened.done():
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._transport.abort()
                self.opened.set_exception(ConnectionError(head.decode(errors="replace").partition("\r\n")[0]))
                return
            self._received = rest
            self.opened.set_result(None)
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("lost during the handshake"))
        if not self.closed.done():
            self.closed.set_result(time.perf_counter())
        self._news.set()

    def last(self, kind: str) -> Json | None:
        """Return the last event of that kind that has been received."""
        found = (event for text in reversed(self.texts) if (event := json.loads(text))["type"] == kind)
        return next(found, None)

    async def received(self, kind: str) -> Json:
        """Return the last event of that kind, once there is one; raises `ConnectionError` when the server closes."""
        while (found := self.last(kind)) is None:
            if self.closed.done():
                raise ConnectionError(f"closed with {self.code} after {self.texts[-1:]}")
            self._news.clear()
            await self._news.wait()
        return found

    def vanish(self) -> None:
        """Leave without a word."""
        self._transport.abort()

    def stop_reading(self) -> None:
        self._transport.pause_reading()

    def send(self, event: Json) -> None:
        self._send(_TEXT, json.dumps(event).encode())

    def _take(self, opcode: int, payload: bytes) -> None:
        self._news.set()
        if opcode == _TEXT:
            self.texts.append(payload)
        elif opcode == _PING:
            self._send(_PONG, payload)
        elif opcode == _CLOSE and not self.closed.done():
            self.code = struct.unpack("!H", payload[:2])[0] if payload else None
            self.closed.set_result(time.perf_counter())
            self._send(_CLOSE, payload[:2])
            self._transport.close()

    def _frame(self) -> tuple[int, bytes] | None:
        """Return the operation and the payload of the next frame, once it is complete; servers send no fragments."""
        data = self._received
        if len(data) < 2:
            return None
        size, start = data[1] & 127, 2
        if size > 125:
            kind, start = ("!H", 4) if size == 126 else ("!Q", 10)
            if len(data) < start:
                return None
            size = struct.unpack(kind, data[2:start])[0]
        if len(data) < start + size:
            return None
        self._received = data[start + size :]
        return data[0] & 15, data[start : start + size]

    def _send(self, opcode: int, payload: bytes) -> None:
        if self._transport.is_closing():
            return
        size = len(payload)
        length = bytes([128 | size]) if size < 126 else bytes([128 | 126]) + struct.pack("!H", size)
        self._transport.write(bytes([128 | opcode]) + length + bytes(4) + payload)  # a mask of zeros changes nothing


async def connect(port: int, path: str = "/v1/realtime") -> Client:
    """Return a client that is connected; raises `ConnectionError`."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(path), "127.0.0.1", port)
    await client.opened
    return client


async def connect_all(port: int, paths: Iterable[str]) -> list[Client]:
    """Return a client for each path, a few handshakes at a time."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(path: str) -> Client:
        async with room:
            return await connect(port, path)

    return await asyncio.gather(*map(one, paths))
