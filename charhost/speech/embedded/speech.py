"""Piper on this machine."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path

from charhost.speech.clauses import clauses
from charhost.speech.embedded import MOST_VOICES
from charhost.speech.embedded.child import Child
from charhost.speech.embedded.frames import Message
from charhost.speech.failure import SpeechError
from charhost.speech.speech import SPOKEN_RATE, EngineState, Sound, Voice, VoiceName
from charhost.speech.voices.piper_files import installed

_PROGRAM = Path(__file__).with_name("piper.py")
# After every clause that a client waits for.
_WHEN_IDLE = float("inf")


class PiperSpeech:
    """Owns the process of Piper; *folder* has voices beside those that are installed.

    The clause goes first whose client runs out of sound first.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        found = installed(folder)
        self._child = Child("Piper", _PROGRAM, *(str(voice.file) for voice in found[:1]))

    def start(self) -> None:
        self._child.start()

    async def close(self) -> None:
        await self._child.close()

    async def state(self) -> EngineState:
        return self._child.state

    async def voices(self) -> Sequence[VoiceName]:
        found = await asyncio.to_thread(installed, self._folder)
        return [VoiceName(voice.name, voice.name, voice.language) for voice in found]

    async def prepare(self, voices: Sequence[Voice]) -> None:
        files = dict.fromkeys(str(voice.sample) for voice in voices if voice.sample is not None)
        for file in list(files)[:MOST_VOICES]:
            with suppress(SpeechError):
                _ = [reply async for reply in self._child.replies({"file": file}, _WHEN_IDLE)]

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Sound, None]:
        if voice.sample is None:
            raise SpeechError("refused", "Piper has no voice.")
        loop = asyncio.get_running_loop()
        runs_out_at = loop.time()
        async for clause in clauses(text):
            if not clause.spoken:
                yield Sound(b"", clause.text)
                continue
            words = clause.text
            async with aclosing(self._child.replies(_job(clause.spoken, voice), runs_out_at)) as replies:
                async for reply in replies:
                    pcm: bytes = reply["sound"]
                    runs_out_at = max(runs_out_at, loop.time()) + len(pcm) / 2 / SPOKEN_RATE
                    yield Sound(pcm, words)
                    words = ""
            if words:  # nothing in it has a sound
                yield Sound(b"", words)


def _job(text: str, voice: Voice) -> Message:
    _, _, speaker = voice.name.partition("#")
    return {
        "text": text,
        "file": str(voice.sample),
        "speaker": int(speaker) if speaker.isdecimal() else None,
        "speed": voice.speed,
        "pitch": voice.pitch,
    }
