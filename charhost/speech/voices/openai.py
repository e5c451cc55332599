"""Voices of servers with OpenAI's audio API."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import ClassVar

from charhost.speech.speech import Voice, VoiceName
from charhost.speech.voices.wish import Wish

DEFAULT_VOICE = "alloy"


class OpenAIVoices:
    """Names of voices: those of the file as they are, since some servers take mixtures like `af_bella(2)+af_sky`."""

    engine: ClassVar = "openai"

    def __init__(self, fallback: str | None) -> None:
        self._fallback = fallback

    def map(self, wishes: Sequence[Wish], listed: Sequence[VoiceName]) -> list[Voice]:
        return [self._voice(wish, listed) for wish in wishes]

    def named(self, name: str, listed: Sequence[VoiceName]) -> Voice | None:
        return Voice(name) if not listed or any(voice.id == name for voice in listed) else None

    def _voice(self, wish: Wish, listed: Sequence[VoiceName]) -> Voice:
        chosen = wish.named(self.engine) or next(_alike(wish, listed), None)
        if chosen is not None:
            return wish.voice(self.engine, chosen)
        first = listed[0].id if listed else DEFAULT_VOICE
        return wish.voice(self.engine, self._fallback or first, wish.missing(self.engine))


def _alike(wish: Wish, listed: Sequence[VoiceName]) -> Iterator[str]:
    """Yield the voices that are called like the character's voice file, or like the character."""
    stem = PurePosixPath(wish.path).stem if wish.path else ""
    for name in filter(None, (stem, wish.character)):
        yield from (voice.id for voice in listed if name.casefold() in (voice.id.casefold(), voice.name.casefold()))
