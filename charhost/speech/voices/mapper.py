"""The interface that maps wishes to voices, one for each kind of engine."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from charhost.speech.speech import Voice, VoiceName
from charhost.speech.voices.wish import Wish


class Mapper(Protocol):
    engine: ClassVar[str]

    def map(self, wishes: Sequence[Wish], listed: Sequence[VoiceName]) -> list[Voice]:
        """Return the voice of each character; *listed* are those that the engine offers. Reads files: it may block."""

    def named(self, name: str, listed: Sequence[VoiceName]) -> Voice | None:
        """Return the voice that a client names, None if there is none of that name."""
