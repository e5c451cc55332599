"""A TCP proxy that stalls, delays and cuts."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(eq=False)
class Proxy:
    """Passes connections on to a port; while it stalls, neither way has a byte of progress and nothing is closed."""

    target: int
    delay: float = 0.0
    # Bytes from the target that are dropped, while those to it pass: acknowledgements are lost.
    is_deaf: bool = False
    # Awaited with what is on its way to the target, before it is passed on.
    before: Callable[[bytes], Awaitable[None]] | None = None
    _goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._goes_on.set()
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)

    def stall(self) -> None:
        self._goes_on.clear()

    def go_on(self) -> None:
        self._goes_on.set()

    def cut(self) -> None:
        """Reset all connections; new ones are taken."""
        for writer in self._writers:
            if not writer.is_closing():
                reset = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                writer.transport.abort()

    async def close(self) -> None:
        self.go_on()
        self.cut()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, back, is_answer=False))
                tasks.create_task(self._pass(there, writer, is_answer=True))
        finally:
            self._writers -= {writer, back}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay)
                if self.before is not None and not is_answer:
                    await self.before(data)
                await self._goes_on.wait()
                if not (is_answer and self.is_deaf):
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()
