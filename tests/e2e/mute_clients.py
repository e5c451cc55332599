"""Clients that ask and never read, over sockets that hold little."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

from tests.conftest import Client
from tests.e2e.doors import Script, Socket, Unmute, Visit, chunk
from tests.e2e.websocket_frames import PONG, TEXT, frame, handshake
from tests.llm.openai.scripted_upstream import HEAD, Line

# Half of it are buffers of the kernel, on the way from the upstream.
MOST_HELD = 16 << 20


def small_socket(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    """A listening socket; its connections inherit a buffer that is soon full."""
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
    listening.bind((host, port))
    return listening


def endless(said: list[int]) -> Script:
    """Send text as fast as the client reads, for ever, and record the number of bytes."""
    words = chunk(content="word " * 20) * 50

    async def script(line: Line) -> None:
        line.send(HEAD, b"Connection: close\r\n\r\n")
        while True:
            line.send(words)
            await line.writer.drain()
            said.append(len(words))

    return script


async def mute(door: type[Visit] | str, client: Client) -> socket.socket:
    """Send a request of that API, or to that path, over a socket that is never read."""
    loop = asyncio.get_running_loop()
    quiet = socket.socket()
    quiet.setblocking(False)
    quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
    await loop.sock_connect(quiet, (client.host, client.port))
    for piece in _spoken(door):
        await loop.sock_sendall(quiet, piece)
    return quiet


@asynccontextmanager
async def talkative(door: type[Visit] | str, client: Client) -> AsyncIterator[socket.socket]:
    """As `mute`, and over a WebSocket it sends a pong all the time, until the end of the block."""
    quiet = await mute(door, client)
    sending = (
        asyncio.create_task(_send_pongs(quiet)) if not isinstance(door, str) and issubclass(door, Socket) else None
    )
    try:
        yield quiet
    finally:
        if sending is not None:
            sending.cancel()
            await asyncio.wait([sending])
        quiet.close()


async def _send_pongs(quiet: socket.socket) -> None:
    with suppress(ConnectionError):
        while True:
            await asyncio.get_running_loop().sock_sendall(quiet, frame(PONG))
            await asyncio.sleep(0.02)


def _spoken(door: type[Visit] | str) -> Iterator[bytes]:
    """Return the bytes of a request of that API."""
    if isinstance(door, str) or not issubclass(door, Socket):
        path = door if isinstance(door, str) else "/v1/chat/completions"
        messages = [{"role": "user", "content": "Hi"}]
        body = json.dumps({"model": "Ada", "stream": True, "messages": messages, "input": "Hi"}).encode()
        yield b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
        return
    yield handshake(0, f"/v1/realtime{door.query}")
    unmute = {"type": "session.update", "session": {"allow_recording": False}}
    sound = {"type": "input_audio_buffer.append", "audio": ""}
    for event in [unmute, sound] if door is Unmute else [{"type": "response.create"}]:
        yield frame(TEXT, json.dumps(event).encode())
