"""The engines of a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from charhost.speech.hearing import Hearing
    from charhost.speech.speech import EngineState, Speech, Voices
    from charhost.speech.vad import Detector


class Owned(Protocol):
    """A part that starts and ends with the server."""

    def start(self) -> None: ...

    async def close(self) -> None: ...


class HasState(Protocol):
    async def state(self) -> EngineState: ...


class DecodesFiles(Protocol):
    def decoded(self, file: bytes) -> AsyncGenerator[bytes, None]:
        """Yield the sound of a file, 16 kHz mono; raises `SpeechError`."""


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines that the settings ask for: `voices` is there with `speech`; `owned` end with the server.

    With `hearing` turns are found by the `detector`; None is Silero's.
    """

    speech: Speech | None = None
    voices: Voices | None = None
    hearing: Hearing | None = None
    detector: Detector | None = None
    files: DecodesFiles | None = None
    cloning: HasState | None = None
    owned: tuple[Owned, ...] = ()


NO_ENGINES = Engines()
