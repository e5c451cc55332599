"""Engines that take no time, so that a measurement is of charhost alone, and the model beside them."""

from __future__ import annotations

import asyncio
import re
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import cache
from typing import Any, Literal

from charhost.character.character import Character
from charhost.llm.model import Delta, ModelRequest
from charhost.settings import Settings
from charhost.speech.batch_listening import BatchListening
from charhost.speech.clauses import clauses
from charhost.speech.engines import NO_ENGINES, Engines
from charhost.speech.hearing import Listening
from charhost.speech.speech import SPOKEN_RATE, EngineState, Sound, Voice, VoiceName
from charhost.speech.vad import Frames

Kind = Literal["bare", "off", "scripted", "silero", "embedded"]
KINDS: tuple[Kind, ...] = ("bare", "off", "scripted", "silero", "embedded")
# With scripted engines, and each detector.
DETECTED: tuple[Kind, ...] = ("scripted", "silero")

_PIECE_MS = 100
_MS_PER_CHARACTER = 60
_LOUD = 1_000
# What a message asks the scripted model for.
_WANTED = re.compile(r"(\d+) words(?:, (\d+) ms each)?")
_WORDS = ("The", "old", "clock", "strikes", "nine", "every", "morning.")


@cache
def tone(milliseconds: int) -> bytes:
    """Return a loud tone at the rate of engines that speak."""
    return array("h", [8_000] * 30 + [-8_000] * 30).tobytes() * (milliseconds * SPOKEN_RATE // 60_000)


class ToneSpeech:
    """Speaks a tone of 60 ms per character; a voice called `paced` as slowly as it sounds."""

    async def prepare(self, voices: Sequence[Voice]) -> None:
        pass

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Sound, None]:
        pause = _PIECE_MS / 1000 if voice.name == "paced" else 0.0
        async for clause in clauses(text):
            words = clause.text
            for _ in range(max(1, len(clause.spoken) * _MS_PER_CHARACTER // _PIECE_MS)):
                yield Sound(tone(_PIECE_MS), words)
                words = ""
                if pause:
                    await asyncio.sleep(pause)

    async def voices(self) -> Sequence[VoiceName]:
        return []

    async def state(self) -> EngineState:
        return "up"


class ChosenVoices:
    """Gives all characters one voice; a client may choose `paced`."""

    async def of(self, character: Character) -> Voice:
        return Voice("tone")

    async def of_all(self, characters: Sequence[Character]) -> Sequence[Voice]:
        return [Voice("tone") for _ in characters]

    def named(self, name: str) -> Voice | None:
        return Voice(name) if name == "paced" else None


class ToldHearing:
    """Hears a wish for eight words in every turn."""

    def listen(self, language: str | None, hint: str) -> Listening:
        return BatchListening(_told)

    async def state(self) -> EngineState:
        return "up"


async def _told(sound: bytes, final: bool) -> str:
    return "8 words"


class LoudDetector:
    """Takes all loud sound for speech."""

    def detect(self, frames: Frames, states: Sequence[Any]) -> tuple[list[float], Sequence[Any]]:
        return [0.9 if abs(frame.astype(int)).max() > _LOUD else 0.1 for frame in frames], states


class WordModel:
    """Responds with as many words as the last message of the user asks for, 20 ms each unless it says otherwise."""

    endpoint = "scripted"

    def of(self, character: Character) -> WordModel:
        return self

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[Delta], None]:
        wanted = _WANTED.search(str(request.messages[-1]["content"]))
        count, pause = (int(wanted[1]), int(wanted[2] or 0) / 1000) if wanted else (8, 0.02)
        for index in range(count):
            if pause:
                await asyncio.sleep(pause)
            yield [Delta(f"{_WORDS[index % len(_WORDS)]} ")]
        yield [Delta(finish="stop")]

    async def context_length(self) -> None:
        return None

    async def state(self) -> Literal["up"]:
        return "up"

    async def close(self) -> None:
        pass


def engines_for(kind: Kind) -> Engines:
    if kind in ("bare", "off"):
        return NO_ENGINES
    if kind == "embedded":
        from charhost.speech.configured import engines_of

        return engines_of(Settings(voice=True))
    return Engines(ToneSpeech(), ChosenVoices(), ToldHearing(), LoudDetector() if kind == "scripted" else None)
