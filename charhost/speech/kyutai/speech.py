"""Speech from moshi-server."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import aiohttp

from charhost.speech.kyutai.cloning import VoiceCloning
from charhost.speech.kyutai.messages import packed, pcm_of, unpacked
from charhost.speech.kyutai.moshi_server import MoshiServer, messages
from charhost.speech.kyutai.spoken_words import SpokenWords
from charhost.speech.speech import EngineState, Sound, Voice, VoiceName

_PATH = "/api/tts_streaming"
_QUERY = {"format": "PcmMessagePack", "cfg_alpha": "1.5"}


class KyutaiSpeech:
    """Opens a connection for each response, which takes a channel of the server until its sound is made."""

    def __init__(self, url: str, key: str | None, cloning_url: str | None) -> None:
        self._server = MoshiServer(url, key)
        self.cloning = VoiceCloning(cloning_url) if cloning_url is not None else None

    def start(self) -> None:
        """Do nothing: connections open with the first response."""

    async def close(self) -> None:
        await self._server.close()
        if self.cloning is not None:
            await self.cloning.close()

    async def state(self) -> EngineState:
        return await self._server.state()

    async def voices(self) -> Sequence[VoiceName]:
        """Return no voices: the server does not list them."""
        return ()

    async def prepare(self, voices: Sequence[Voice]) -> None:
        """Load nothing: the voices are the server's."""

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Sound, None]:
        sample = await self.cloning.voice(voice.sample) if voice.sample and self.cloning else None
        query = _QUERY | ({"voice": voice.name} if voice.name and sample is None else {})
        words = SpokenWords()
        async with self._server.connected(_PATH, query) as socket:
            if sample is not None:
                await socket.send_bytes(sample)
            writing = asyncio.create_task(_write(socket, text, words))
            try:
                async with aclosing(_read(socket, words)) as sounds:
                    async for sound in sounds:
                        yield sound
                await writing
            finally:
                writing.cancel()
        yield words.end()


async def _read(socket: aiohttp.ClientWebSocketResponse, words: SpokenWords) -> AsyncGenerator[Sound, None]:
    async for data in messages(socket):
        message = unpacked(data)
        if message["type"] == "Audio":
            yield words.sound(pcm_of(message))
        elif message["type"] == "Text":
            words.note(message)


async def _write(socket: aiohttp.ClientWebSocketResponse, text: AsyncIterator[str], words: SpokenWords) -> None:
    """Send the words as they come, and then the end, after which the server closes the connection."""
    async for piece in text:
        for word in words.take(piece):
            await socket.send_bytes(packed("Text", text=word))
    for word in words.take("", last=True):
        await socket.send_bytes(packed("Text", text=word))
    await socket.send_bytes(packed("Eos"))
