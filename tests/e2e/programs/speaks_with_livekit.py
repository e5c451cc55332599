"""LiveKit's OpenAI realtime model with audio: asks by voice, and interrupts the answer."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import aiohttp
from livekit import rtc
from livekit.plugins import openai

from tests.e2e.programs.speech import PIECE, QUESTION, RATE, STOP, report, spoken


class Talk:
    """One session; `answers` are its responses as they begin, and `heard` the transcripts of the user."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        model = openai.realtime.RealtimeModel(model="Ada", base_url=f"{url}/v1", api_key="unused", http_session=http)
        self.session = model.session()
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.started: asyncio.Queue[bool] = asyncio.Queue()
        self.session.on("generation_created", self.answers.put_nowait)
        self.session.on("input_speech_started", lambda event: self.started.put_nowait(True))
        self.session.on("input_audio_transcription_completed", self._note)
        self.session.on("error", lambda event: report(error=str(event)))

    def _note(self, event: Any) -> None:
        if event.is_final:
            self.heard.put_nowait(event.transcript)

    def say(self, milliseconds: int) -> None:
        for piece in spoken(milliseconds):
            self.session.push_audio(rtc.AudioFrame(piece, RATE, 1, PIECE // 2))

    async def message(self) -> Any:
        """Return the message of the next response."""
        generation = await self.answers.get()
        return await anext(aiter(generation.message_stream))


async def main(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        talk = Talk(url, http)
        talk.say(QUESTION)
        message = await talk.message()
        frame = await anext(aiter(message.audio_stream))
        report(heard=await talk.heard.get(), sound=len(frame.data))
        await talk.started.get()
        talk.say(STOP)
        await talk.started.get()
        talk.session.truncate(message_id=message.message_id, modalities=["audio", "text"], audio_end_ms=400)
        second = await talk.message()
        text = "".join([str(piece) async for piece in second.text_stream])
        report(heard=await talk.heard.get(), said=text.strip())
        await talk.session.aclose()


asyncio.run(main(sys.argv[1]))
