"""A client that speaks in real time, and notes when events arrive."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from charhost.speech.speech import SPOKEN_RATE

BYTES_PER_MS = SPOKEN_RATE * 2 // 1000
_PATIENCE = 60.0


@dataclass
class Arrived:
    """An event, when it arrived, and how many had arrived before it."""

    at: float
    number: int
    event: dict[str, Any]


@dataclass
class Caller:
    """One session. `sent` has the time at which each frame was sent; between what it says it sends `background`."""

    ws: aiohttp.ClientWebSocketResponse
    background: bytes
    frame_ms: int
    sent: list[float] = field(default_factory=list)
    events: list[Arrived] = field(default_factory=list)
    failed: str = ""
    _frames: deque[str] = field(default_factory=deque)
    _said: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, kind: str, **fields: object) -> None:
        await self.ws.send_json({"type": kind, **fields})

    async def say(self, pcm: bytes) -> tuple[float, float]:
        """Return when the sound began, and when its last sample was sent."""
        frames = [append(piece) for piece in _framed(pcm, self.frame_ms)]
        self._said.clear()
        self._frames.extend(frames)
        async with asyncio.timeout(_PATIENCE):
            await self._said.wait()
        return self.sent[-len(frames)] - self.frame_ms / 1000, self.sent[-1]

    async def until(self, kind: str, after: int = 0) -> Arrived:
        """Return the first event of a type from the event with the number *after* on."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                found = next((one for one in self.events[after:] if one.event["type"] == kind), None)
                if found is not None:
                    return found
                if self.failed:
                    raise ConnectionError(self.failed)
                self._news.clear()
                await self._news.wait()

    def sound_of(self, response_id: str) -> list[Arrived]:
        """Return the pieces of sound of a response."""
        deltas = (one for one in self.events if one.event["type"] == "response.output_audio.delta")
        return [one for one in deltas if one.event["response_id"] == response_id]

    async def heard(self, done: Arrived) -> None:
        """Wait until the sound of a response that is done has been played."""
        characters = sum(len(one.event["delta"]) for one in self.sound_of(done.event["response"]["id"]))
        await asyncio.sleep(characters * 3 / 4 / BYTES_PER_MS / 1000 + 0.3)

    async def receive(self) -> None:
        clock = asyncio.get_running_loop().time
        async for message in self.ws:
            at = clock()
            event = json.loads(message.data)
            if event["type"] == "error":
                self.failed = event["error"]["message"]
            self.events.append(Arrived(at, len(self.events), event))
            self._news.set()

    async def stream(self) -> None:
        """Send a frame every few ms, for as long as the session lasts."""
        clock = asyncio.get_running_loop().time
        frames = [append(piece) for piece in _framed(self.background, self.frame_ms)]
        due = clock()
        while not self.ws.closed:
            if self._frames:
                await self.ws.send_str(self._frames.popleft())
                self.sent.append(clock())
                if not self._frames:
                    self._said.set()
            else:
                await self.ws.send_str(frames[len(self.sent) % len(frames)])
                self.sent.append(clock())
            due += self.frame_ms / 1000
            await asyncio.sleep(due - clock())


@asynccontextmanager
async def calling(url: str, background: bytes = b"", frame_ms: int = 20, **session: object) -> AsyncIterator[Caller]:
    """Open a session; with *background* sound it streams."""
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"{url}/v1/realtime", params={"dialect": "ga"}, max_msg_size=0) as ws,
    ):
        caller = Caller(ws, background, frame_ms)
        work = [asyncio.create_task(caller.receive())]
        await caller.until("session.created")
        if session:
            await caller.send("session.update", session={"type": "realtime", **session})
            await caller.until("session.updated")
        if background:
            work.append(asyncio.create_task(caller.stream()))
        try:
            yield caller
            for task in work:
                if task.done():
                    task.result()
        finally:
            for task in work:
                task.cancel()
            await asyncio.wait(work)


def _framed(pcm: bytes, frame_ms: int) -> list[bytes]:
    size = frame_ms * BYTES_PER_MS
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def append(pcm: bytes) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})
