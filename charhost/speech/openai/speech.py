"""Speech from a server with OpenAI's audio API."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import aiohttp

from charhost.speech.clauses import clauses
from charhost.speech.failure import SpeechError
from charhost.speech.openai.audio_server import AudioServer, RefusedRequest
from charhost.speech.openai.wav import PcmReader
from charhost.speech.speech import EngineState, Sound, Voice, VoiceName
from charhost.speech.voices.openai import DEFAULT_VOICE

_DEFAULT_MODEL = "tts-1"
_PIECE = 1 << 13
_SOUNDS = ("audio/pcm", "audio/wav", "audio/x-wav", "audio/wave", "audio/l16", "application/octet-stream")


class OpenAISpeech:
    """Asks for the sound of one clause after the other, and passes it on as it comes."""

    def __init__(self, url: str, key: str | None, model: str | None, fallback: str | None = None) -> None:
        self._server = AudioServer("The server that speaks", url, key)
        self._model = model or _DEFAULT_MODEL
        self._fallback = fallback or DEFAULT_VOICE

    def start(self) -> None:
        """Do nothing: connections open with the first request."""

    async def close(self) -> None:
        await self._server.close()

    async def state(self) -> EngineState:
        return await self._server.state()

    async def voices(self) -> Sequence[VoiceName]:
        return list(_listed(await self._server.json("/audio/voices")))

    async def prepare(self, voices: Sequence[Voice]) -> None:
        """Load nothing: the voices are the server's."""

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Sound, None]:
        async for clause in clauses(text):
            words = clause.text
            if clause.spoken:
                async with aclosing(self._sound(clause.spoken, voice)) as pieces:
                    async for pcm in pieces:
                        yield Sound(pcm, words)
                        words = ""
            if words:
                yield Sound(b"", words)

    async def _sound(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(self._streamed(text, voice)) as pieces:
                async for pcm in pieces:
                    yield pcm
        except RefusedRequest as e:
            if e.status not in (400, 404, 422) or voice.name == self._fallback:
                raise
            # Most often a voice that the server does not have.
            async with aclosing(self._streamed(text, replace(voice, name=self._fallback))) as pieces:
                async for pcm in pieces:
                    yield pcm

    async def _streamed(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        reader = PcmReader()
        async with self._server.post("/audio/speech", lambda: self._request(text, voice)) as response:
            _expect_sound(response)
            async for data in response.content.iter_chunked(_PIECE):
                if pcm := reader.take(data):
                    yield pcm
            if pcm := reader.take(b"", last=True):
                yield pcm

    def _request(self, text: str, voice: Voice) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model,
            "input": text,
            "voice": voice.name or self._fallback,
            "response_format": "pcm",
        }
        if voice.speed != 1:
            request["speed"] = voice.speed
        if voice.description and self._model.startswith("gpt-"):
            request["instructions"] = voice.description
        return request


def _expect_sound(response: aiohttp.ClientResponse) -> None:
    found = response.content_type.lower()
    if found.startswith(("audio/", "text/", "application/json")) and found not in _SOUNDS:
        raise SpeechError("malformed", f"The server that speaks sent {found}: expected pcm or wav.")


def _listed(found: Any) -> Iterator[VoiceName]:
    """Yield the voices in a list of names or of objects, as servers have them."""
    entries = found if isinstance(found, list) else None
    if isinstance(found, dict):
        entries = next((found[name] for name in ("voices", "data") if isinstance(found.get(name), list)), None)
    for entry in entries or ():
        fields = entry if isinstance(entry, dict) else {"id": entry}
        name = next((fields[key] for key in ("id", "voice_id", "name") if isinstance(fields.get(key), str)), None)
        if name:
            title, language = fields.get("name"), fields.get("language")
            yield VoiceName(
                name, title if isinstance(title, str) else name, language if isinstance(language, str) else None
            )
