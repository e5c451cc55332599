"""The listening of engines that take the sound of a whole turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from charhost.speech.hearing import HEARD_RATE, Listening, Pause, Transcript, Word

# Returns the words of a turn; the flag is whether the turn is over.
Recognise = Callable[[bytes, bool], Awaitable[str]]

_SILENT = bytes(1 << 16)


@dataclass(frozen=True, slots=True)
class _Guess:
    """The recognition of the first *length* bytes of a turn."""

    length: int
    task: asyncio.Task[Any]


class BatchListening(Listening):
    """Collects the sound of one session's turn, and has it recognised at once."""

    def __init__(self, recognise: Recognise) -> None:
        self._recognise = recognise
        self._sound: list[bytes] = []  # not one buffer: it would move and leave holes in memory as it grows
        self._guess: _Guess | None = None

    def feed(self, pcm: bytes) -> None:
        self._sound.append(pcm)

    def drop(self) -> None:
        self._sound.clear()
        self._forget()

    async def events(self) -> AsyncGenerator[Word | Pause, None]:
        """Yield nothing: the engine hears words at the end of a turn only."""
        return
        yield

    async def transcript(self, final: bool) -> Transcript:
        sound = b"".join(self._sound)
        if self._guess is None or self._guess.length != len(sound):
            self._forget()
            self._guess = _Guess(len(sound), asyncio.create_task(self._words(sound, final)))
        guess = self._guess
        if final:
            self._sound.clear()
            self._guess = None
        try:
            return Transcript(await asyncio.shield(guess.task), len(sound) / 2 / HEARD_RATE)
        except asyncio.CancelledError:
            # A guess that has become final meanwhile is awaited by another caller.
            if final or self._guess is guess:
                guess.task.cancel()
                self._guess = None
            raise

    async def close(self) -> None:
        self.drop()

    async def _words(self, sound: bytes, final: bool) -> str:
        return "" if _is_silent(sound) else await self._recognise(sound, final)

    def _forget(self) -> None:
        if self._guess is not None:
            self._guess.task.cancel()
            self._guess = None


def _is_silent(sound: bytes) -> bool:
    """Return whether *sound* is digital silence, of which some engines make words."""
    return all(sound[at : at + len(_SILENT)] == _SILENT[: len(sound) - at] for at in range(0, len(sound), len(_SILENT)))
