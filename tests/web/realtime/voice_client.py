"""A server with scripted engines, and what a client that speaks sends to it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from charhost.settings import Settings
from charhost.speech.engines import Engines
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS
from tests.conftest import Client
from tests.speech.engines import silence, tone
from tests.web.realtime.event_grammar import Dialect
from tests.web.realtime.openai_client import Caller, Script, calling

Start = Callable[..., Awaitable[Client]]

AUDIO: dict[str, Any] = {"output_modalities": ["audio"]}
SPOKEN = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
]
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


class Speaker(Caller):
    """A client that sends audio."""

    async def append(self, sound: bytes, step: int = 1_920) -> None:
        """Send sound in frames of 40 ms, faster than real time."""
        for at in range(0, len(sound), step):
            audio = base64.b64encode(sound[at : at + step]).decode()
            await self.send("input_audio_buffer.append", audio=audio)

    async def say(self, milliseconds: int = 300, quiet: int = 700) -> None:
        """Send speech, and the silence after it."""
        await self.append(tone(milliseconds) + silence(quiet))

    def sound(self) -> bytes:
        """Return the sound of all responses so far."""
        deltas = [
            e["delta"] for e in self.events if e["type"] in ("response.output_audio.delta", "response.audio.delta")
        ]
        return b"".join(map(base64.b64decode, deltas))

    def spoken(self) -> str:
        """Return the transcript of all responses so far."""
        return "".join(e["delta"] for e in self.events if e["type"] == "response.output_audio_transcript.delta")

    async def item(self, item_id: str) -> Any:
        """Return an item as the server has it."""
        await self.send("conversation.item.retrieve", item_id=item_id)
        return (await self.until("conversation.item.retrieved"))["item"]


@asynccontextmanager
async def speaking(client: Client, dialect: Dialect = "ga", **session: Any) -> AsyncIterator[Speaker]:
    """A client that was greeted, and has sent its settings, if any."""
    async with calling(client, dialect, speaker=Speaker) as caller:
        if session:
            await caller.update(**session)
        yield caller


async def serving(start: Start, settings: Settings, engines: Engines) -> tuple[Client, Script]:
    """Return a client of a server with engines, and the model of all its characters."""
    client = await start(create_app(settings, engines))
    script = client.app[CONVERSATIONS].models = Script()
    return client, script
