"""The interface of engines that speak."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from charhost.character.character import Character

EngineState = Literal["up", "down"]

# Samples per second of all sound that engines make.
SPOKEN_RATE = 24_000


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice as its engine knows it; `name` is empty for the engine's own choice.

    `sample` is the voice's file, or one to be cloned; `description` says how to speak. Where the character asks for
    another voice than this one it is not `is_exact`, and `why` says the reason. `engine` is the kind of engine.
    """

    name: str
    speed: float = 1.0
    pitch: float = 1.0
    language: str | None = None
    description: str = ""
    sample: Path | None = None
    is_exact: bool = True
    why: str = ""
    engine: str = ""


@dataclass(frozen=True, slots=True)
class VoiceName:
    """A voice that an engine offers; `name` is for people."""

    id: str
    name: str
    language: str | None = None


class WordTime(NamedTuple):
    """The place of a word in the sound of a response, in ms from the start of that sound."""

    text: str
    start_ms: int
    end_ms: int


class Sound(NamedTuple):
    """A piece of sound: 24 kHz mono, 16 bits, little-endian.

    `text` is the text whose sound begins with this piece, empty where that of an earlier piece goes on. It is a part
    of the text to be spoken, white space included, so that the texts of all pieces together are the whole. `times`
    are those of words that begin in `pcm`, if the engine knows them.
    """

    pcm: bytes
    text: str = ""
    times: tuple[WordTime, ...] = ()


class Speech(Protocol):
    """An engine that speaks; all sessions share it."""

    def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Sound, None]:
        """Yield the sound of a response whose pieces of text come from *text*; raises `SpeechError`.

        An engine that takes whole sentences cuts *text* with `charhost.speech.clauses`. Closing the generator stops
        the engine. A caller waits for as long as it likes between two pieces; deadlines are its own.
        """

    async def prepare(self, voices: Sequence[Voice]) -> None:
        """Have voices loaded, if the engine loads any, as far as it keeps them; what fails is met by `speak`."""

    async def voices(self) -> Sequence[VoiceName]:
        """Return the voices that the engine offers, none if it does not list them."""

    async def state(self) -> EngineState: ...


class Voices(Protocol):
    """Maps characters to voices; all sessions share it."""

    async def of(self, character: Character) -> Voice:
        """Return the voice of this version of the character; a voice that cannot be mapped is a fallback."""

    async def of_all(self, characters: Sequence[Character]) -> Sequence[Voice]:
        """Return the voice of each character."""

    def named(self, name: str) -> Voice | None:
        """Return the voice that a client chooses by its name; None if clients may not choose, or it is unknown."""
