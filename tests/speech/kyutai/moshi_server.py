"""A fake of moshi-server, written from its protocol: one word a step of 80 ms, and a delay of 6 steps for hearing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgpack
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

FRAME = 1920
DELAY = 6

# The faults of a server, and the kind of failure that each is for its client.
FAULTS = [
    ("full", "busy"),
    ("cut", "unreachable"),
    ("nonsense", "malformed"),
    ("flood", "malformed"),
    ("refuse", "refused"),
]


@dataclass
class MoshiServer:
    """Hears a word in each loud frame that follows a quiet one, the next of *words*; a slot is taken by a connection.

    *fault* is `full`, `cut` (after the first sound or step), `nonsense`, `twice` (markers), `flood` (of words that no
    one said) or `refuse`, a wrong key.
    """

    words: deque[str] = field(default_factory=lambda: deque(("Good", "evening.", "dear", "guest.")))
    fault: str | None = None
    pause: float = 0.0
    url: str = ""
    queries: list[dict[str, str]] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    cloned: list[bytes] = field(default_factory=list)
    open: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[MoshiServer]:
        app = web.Application()
        app.add_routes(
            [
                web.get("/api/build_info", self._build_info),
                web.get("/api/asr-streaming", self._hear),
                web.get("/api/tts_streaming", self._speak),
                web.post("/api/voice", self._clone),
            ]
        )
        async with TestServer(app) as server:
            self.url = str(server.make_url("")).rstrip("/").replace("http", "ws", 1)
            yield self

    async def _build_info(self, request: web.Request) -> web.Response:
        return web.json_response({"build_timestamp": "2026"})

    async def _clone(self, request: web.Request) -> web.Response:
        form = await request.post()
        part = form["file"]
        assert isinstance(part, web.FileField)
        self.cloned.append(part.file.read())
        return web.Response(body=msgpack.packb({"type": "Voice", "embeddings": [0.5, 0.25], "shape": [1, 2]}))

    @asynccontextmanager
    async def _channel(self, request: web.Request) -> AsyncIterator[web.WebSocketResponse]:
        key = request.headers.get("kyutai-api-key") or request.query.get("auth_id")
        if key != "public_token" or self.fault == "refuse":
            raise web.HTTPUnauthorized
        self.queries.append(dict(request.query))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.open += 1
        try:
            if self.fault == "full":
                await _send(socket, "Error", message="no free channels")
            elif self.fault == "nonsense":
                await socket.send_bytes(b"\xc1")
            elif self.fault == "flood":
                await _send(socket, "Ready")
                for _ in range(10):
                    await _send(socket, "Word", text="x" * 8_000, start_time=0.0)
                for _ in range(10_002):
                    await _send(socket, "Text", text="x", start_s=0.0, stop_s=1.0)
                await asyncio.Event().wait()
            else:
                await _send(socket, "Ready")
                yield socket
            await socket.close()
        finally:
            self.open -= 1

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        async with self._channel(request) as socket:
            step, waiting = 0, deque[str]()
            async for message in self._messages(socket):
                if message["type"] == "Text":
                    waiting.append(message["text"])
                # Looks two words ahead.
                while len(waiting) > (0 if message["type"] == "Eos" else 2):
                    word, start = waiting.popleft(), step * 0.08
                    await _send(socket, "Text", text=word, start_s=start, stop_s=start + 0.08)
                    await _send(socket, "Audio", pcm=[0.5] * FRAME)
                    step += 1
                    if self.fault == "cut":
                        assert request.transport is not None
                        request.transport.abort()
                        return socket
                if message["type"] == "Eos":
                    break
        return socket

    async def _hear(self, request: web.Request) -> web.StreamResponse:
        async with self._channel(request) as socket:
            steps, was_loud, due = 0, False, deque[tuple[int, dict[str, Any]]]()
            async for message in self._messages(socket):
                if message["type"] == "Marker":
                    for _ in range(2 if self.fault == "twice" else 1):
                        await socket.send_bytes(msgpack.packb(message))  # the frames before it are out
                    continue
                assert len(message["pcm"]) == FRAME
                is_loud = max(map(abs, message["pcm"])) > 0.1
                if is_loud and not was_loud:
                    due.append(
                        (steps + DELAY, {"type": "Word", "text": self.words.popleft(), "start_time": steps * 0.08})
                    )
                was_loud, steps = is_loud, steps + 1
                await _send(socket, "Step", step_idx=steps, prs=[0.0, 0.0, self.pause, 0.0], buffered_pcm=0)
                if self.fault == "cut":
                    assert request.transport is not None
                    request.transport.abort()
                    return socket
                due = deque(sorted(due, key=lambda one: one[0]))
                while due and due[0][0] <= steps:
                    await socket.send_bytes(msgpack.packb(due.popleft()[1]))
        return socket

    async def _messages(self, socket: web.WebSocketResponse) -> AsyncIterator[dict[str, Any]]:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.received.append(msgpack.unpackb(message.data))
                yield self.received[-1]


async def _send(socket: web.WebSocketResponse, kind: str, **fields: Any) -> None:
    await socket.send_bytes(msgpack.packb({"type": kind, **fields}))
    await asyncio.sleep(0)
