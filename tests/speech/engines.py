"""Scripted engines: they speak tones, and hear words by the length of tones."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import cache
from typing import Any

from charhost.character.character import Character
from charhost.speech.clauses import clauses
from charhost.speech.engines import Engines
from charhost.speech.failure import SpeechError
from charhost.speech.hearing import HEARD_RATE, Listening, Pause, Transcript, Word
from charhost.speech.speech import SPOKEN_RATE, EngineState, Sound, Voice, VoiceName
from charhost.speech.vad import Frames

# What happens at a request instead of success: an error, or an event to wait for.
Fault = SpeechError | asyncio.Event | None


def tone(milliseconds: int, rate: int = SPOKEN_RATE, hertz: int = 440) -> bytes:
    """Return a tone of half the loudness."""
    return (_second(rate, hertz) * (milliseconds // 1_000 + 1))[: milliseconds * rate // 1000 * 2]


@cache
def _second(rate: int, hertz: int) -> bytes:
    return array("h", (int(16_000 * math.sin(math.tau * hertz * i / rate)) for i in range(rate))).tobytes()


def silence(milliseconds: int, rate: int = SPOKEN_RATE) -> bytes:
    """Return digital silence."""
    return bytes(milliseconds * rate // 1000 * 2)


def loud_ms(pcm: bytes, rate: int = HEARD_RATE) -> int:
    """Return how long the sound is loud, in ms."""
    samples, step = array("h", pcm), rate // 100
    chunks = (samples[at : at + step] for at in range(0, len(samples), step))
    return 10 * sum(1 for chunk in chunks if max(map(abs, chunk)) > 1_000)


async def _obey(fault: Fault) -> None:
    if isinstance(fault, SpeechError):
        raise fault
    if fault is not None:
        await fault.wait()


class ScriptedSpeech:
    """Speaks a tone of so many ms per character, in pieces of 100 ms; each request meets the next fault.

    A fault comes before the sound, or after so many pieces.
    """

    def __init__(self, ms_per_character: int = 10, faults: Sequence[Fault] = (), after: int = 0) -> None:
        self.ms_per_character = ms_per_character
        self.faults = deque(faults)
        self.after = after
        self.spoken: list[str] = []
        self.used: list[Voice] = []
        self.stopped = 0

    async def prepare(self, voices: Sequence[Voice]) -> None:
        """Load nothing."""

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Sound, None]:
        self.used.append(voice)
        fault, pieces = self.faults.popleft() if self.faults else None, 0
        try:
            async for clause in clauses(text):
                self.spoken.append(clause.spoken)
                pcm = tone(len(clause.spoken) * self.ms_per_character)
                size, words = SPOKEN_RATE // 10 * 2, clause.text
                for at in range(0, max(1, len(pcm)), size):
                    if pieces == self.after:
                        await _obey(fault)
                    pieces += 1
                    yield Sound(pcm[at : at + size], words)
                    words = ""
        except GeneratorExit:
            self.stopped += 1
            raise

    async def voices(self) -> Sequence[VoiceName]:
        return [VoiceName("tone", "Tone")]

    async def state(self) -> EngineState:
        return "up"


class LoudDetector:
    """Takes all loud sound for speech."""

    def detect(self, frames: Frames, states: Sequence[Any]) -> tuple[list[float], Sequence[Any]]:
        return [0.9 if abs(frame.astype(int)).max() > 1_000 else 0.1 for frame in frames], states


class ScriptedVoices:
    """Gives each character a voice of its own name."""

    async def of(self, character: Character) -> Voice:
        return Voice(character.name)

    async def of_all(self, characters: Sequence[Character]) -> Sequence[Voice]:
        return [await self.of(character) for character in characters]

    def named(self, name: str) -> Voice | None:
        return None


class ScriptedHearing:
    """Hears the words whose length in ms is nearest to that of the loud sound, none in less than 20 ms of it.

    Each final transcript meets the next fault.
    """

    def __init__(self, words: dict[int, str] | None = None, faults: Sequence[Fault] = ()) -> None:
        self.words = words or {300: "Yes.", 1_000: "What time is it?"}
        self.faults = deque(faults)
        self.heard: list[tuple[str, int]] = []  # of each final transcript: the words, and the ms of sound
        self.guesses = 0
        self.hints: list[tuple[str | None, str]] = []
        self.open = 0

    def listen(self, language: str | None, hint: str) -> ScriptedListening:
        self.hints.append((language, hint))
        self.open += 1
        return ScriptedListening(self)

    async def state(self) -> EngineState:
        return "up"


class ScriptedListening(Listening):
    """What is heard of one session."""

    def __init__(self, hearing: ScriptedHearing) -> None:
        self._hearing = hearing
        self._pcm = bytearray()

    def feed(self, pcm: bytes) -> None:
        self._pcm += pcm

    def drop(self) -> None:
        self._pcm.clear()

    async def events(self) -> AsyncGenerator[Word | Pause, None]:
        return
        yield

    async def transcript(self, final: bool) -> Transcript:
        pcm = bytes(self._pcm)
        if final:
            self._pcm.clear()
            if self._hearing.faults:
                await _obey(self._hearing.faults.popleft())
        else:
            self._hearing.guesses += 1
        length, words = loud_ms(pcm), self._hearing.words
        text = words[min(words, key=lambda ms: abs(ms - length))] if length >= 20 else ""
        if final:
            self._hearing.heard.append((text, len(pcm) // (HEARD_RATE // 500)))
        return Transcript(text, len(pcm) / HEARD_RATE / 2)

    async def close(self) -> None:
        self._hearing.open -= 1


def scripted_engines(speech: ScriptedSpeech | None = None, hearing: ScriptedHearing | None = None) -> Engines:
    """Return engines that both hear and speak."""
    return Engines(speech or ScriptedSpeech(), ScriptedVoices(), hearing or ScriptedHearing(), LoudDetector())
