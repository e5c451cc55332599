"""Voices that a server makes out of sound files."""

import asyncio
import hashlib
from pathlib import Path

import aiohttp
from cachetools import LRUCache

from charhost.settings import proxy_for
from charhost.speech.failure import SpeechError
from charhost.speech.probe import Probe
from charhost.speech.speech import EngineState

_MOST_BYTES = 8 << 20
_MOST_VOICES = 64
_DEADLINE = 30.0


class VoiceCloning:
    """Keeps the last voices by the content of their files; each is an opaque message for moshi-server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._voices: LRUCache[str, bytes] = LRUCache(_MOST_VOICES)
        self._probe = Probe(self._responds)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def state(self) -> EngineState:
        return await self._probe.state()

    async def voice(self, sample: Path) -> bytes:
        """Return the voice of a sound file; raises `SpeechError`."""
        try:
            sound = await asyncio.to_thread(_read, sample)
        except OSError as e:
            raise SpeechError("refused", "The sound of the voice cannot be read.") from e
        digest = hashlib.sha256(sound).hexdigest()
        if digest not in self._voices:
            self._voices[digest] = await self._made(sound)
        return self._voices[digest]

    async def _made(self, sound: bytes) -> bytes:
        form = aiohttp.FormData()
        form.add_field("file", sound, filename="voice", content_type="application/octet-stream")
        url = f"{self._url}/api/voice"
        try:
            async with (
                asyncio.timeout(_DEADLINE),
                self._client().post(url, data=form, proxy=proxy_for(url)) as response,
            ):
                if response.status != 200:
                    raise SpeechError("refused", f"The server that clones voices refused one ({response.status}).")
                return await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as e:
            raise SpeechError("unreachable", "The server that clones voices cannot be reached.") from e

    async def _responds(self) -> bool:
        async with self._client().get(f"{self._url}/api/build_info", proxy=proxy_for(self._url)) as response:
            return response.status < 500

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        return self._session


def _read(file: Path) -> bytes:
    if file.stat().st_size > _MOST_BYTES:
        raise OSError(f"{file} is larger than {_MOST_BYTES:,} bytes")
    return file.read_bytes()
