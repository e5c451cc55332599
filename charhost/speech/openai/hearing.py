"""Hearing by a server with OpenAI's audio API."""

from functools import partial

import aiohttp

from charhost.jsontext import decoded
from charhost.speech.batch_listening import BatchListening
from charhost.speech.failure import SpeechError
from charhost.speech.hearing import HEARD_RATE, Listening
from charhost.speech.openai.audio_server import AudioServer
from charhost.speech.openai.wav import wav
from charhost.speech.speech import EngineState

_DEFAULT_MODEL = "whisper-1"
_MOST_BYTES = 1 << 20


class OpenAIHearing:
    """Sends the sound of each turn as a WAV file."""

    def __init__(self, url: str, key: str | None, model: str | None) -> None:
        self._server = AudioServer("The server that hears", url, key)
        self._model = model or _DEFAULT_MODEL

    def start(self) -> None:
        """Do nothing: connections open with the first request."""

    async def close(self) -> None:
        await self._server.close()

    async def state(self) -> EngineState:
        return await self._server.state()

    def listen(self, language: str | None, hint: str) -> Listening:
        return BatchListening(partial(self._recognise, language, hint))

    async def _recognise(self, language: str | None, hint: str, sound: bytes, final: bool) -> str:
        file = wav(sound, HEARD_RATE)
        async with self._server.post("/audio/transcriptions", lambda: self._form(file, language, hint)) as response:
            body = await self._server.beginning(response, _MOST_BYTES)
        try:
            text: str = decoded(body)["text"].strip()
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise SpeechError("malformed", "The server that hears sent no transcript.") from e
        return text

    def _form(self, file: bytes, language: str | None, hint: str) -> aiohttp.FormData:
        form = aiohttp.FormData()
        form.add_field("file", file, filename="turn.wav", content_type="audio/wav")
        form.add_field("model", self._model)
        form.add_field("response_format", "json")
        if language:
            form.add_field("language", language.replace("_", "-").partition("-")[0])
        if hint:
            form.add_field("prompt", hint)
        return form
