"""The interface of engines that hear."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol

from charhost.speech.speech import EngineState

# Samples per second of all sound that engines hear.
HEARD_RATE = 16_000


class Word(NamedTuple):
    """A word that was understood while its turn goes on, with the space before it, if one is due."""

    text: str


class Pause(NamedTuple):
    """The chance that the speaker is done, as the engine hears it."""

    probability: float


class Transcript(NamedTuple):
    """The words of a turn: the text is empty where nobody spoke; `seconds` is the length of the sound."""

    text: str
    seconds: float


class Listening(Protocol):
    """The sound of one session that an engine hears, turn after turn, until it is closed."""

    def feed(self, pcm: bytes) -> None:
        """Add sound to the turn: 16 kHz mono, 16 bits, little-endian, as soon as it is there.

        Of the silence between turns nothing comes. Never waits and never raises: failures are those of the transcript.
        """

    def drop(self) -> None:
        """Forget the sound of the turn: there is no turn."""

    def events(self) -> AsyncGenerator[Word | Pause, None]:
        """Yield words and pauses, turn after turn, until the listening is closed; batch engines yield nothing.

        Ends without an error where the engine fails.
        """

    async def transcript(self, final: bool) -> Transcript:
        """Return the words of the turn so far; raises `SpeechError`.

        A final one ends the turn: sound that is fed after the call, also while it runs, belongs to the next turn. One
        that is not final is a guess that the turn is over; if nothing was fed since, the final transcript is the same,
        and costs nothing. Cancelling it stops the engine.
        """

    async def close(self) -> None: ...


class Hearing(Protocol):
    """An engine that hears; all sessions share it."""

    def listen(self, language: str | None, hint: str) -> Listening:
        """Begin to listen; *language* is a code like `en`, *hint* is text that the words are likely to be from."""

    async def state(self) -> EngineState: ...
