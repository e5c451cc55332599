"""A model server whose connections follow a script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

Script = Callable[["Line"], Awaitable[None]]


class Line:
    """The server's side of a connection: the request, and the means to respond."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader, self.writer, self.number = reader, writer, number
        self.head, self.body = "", b""

    async def receive(self) -> bool:
        """Wait for a request; False at the end of the connection."""
        try:
            self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        lengths = [line for line in self.head.lower().split("\r\n") if line.startswith("content-length:")]
        self.body = await self.reader.readexactly(int(lengths[0].partition(":")[2])) if lengths else b""
        return True

    def send(self, *pieces: bytes) -> None:
        """Write the pieces one by one."""
        for piece in pieces:
            self.writer.write(piece)

    def answer(self, body: bytes, status: str = "200 OK", kind: str = "text/event-stream", more: str = "") -> None:
        """Write a whole response."""
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.send(head.encode() + body)

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        try:
            while await self.reader.read(1000):
                pass
        except ConnectionError:
            pass


class Upstream:
    """A server whose every connection follows a script."""

    def __init__(self) -> None:
        self.requests: list[Line] = []
        self.connections = 0
        self.url = ""
        self.gone = asyncio.Event()

    async def start(self, script: Script) -> asyncio.Server:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            line = Line(reader, writer, self.connections)
            try:
                while not writer.is_closing() and await line.receive():
                    self.requests.append(line)
                    await script(line)
            except ConnectionError:
                pass
            finally:
                self.gone.set()
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return server
