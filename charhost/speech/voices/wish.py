"""The voice that a character's file asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from charhost.character.character import Character
from charhost.character.voice_options import ReadOptions, VoiceOptions, voice_options
from charhost.speech.speech import Voice


@dataclass(frozen=True)
class Wish:
    """The voice that one character asks for; *folder* is the directory of its file."""

    character: str
    folder: Path
    source: Mapping[str, Any]
    spoken: str | None = None

    @classmethod
    def of(cls, character: Character) -> Wish:
        spoken = character.instructions.get("language")
        folder = Path(character.location).parent
        return cls(character.name, folder, character.voice_source, spoken if isinstance(spoken, str) else None)

    @cached_property
    def _read(self) -> ReadOptions:
        return voice_options(self.source)

    @property
    def options(self) -> VoiceOptions:
        return self._read.options

    @property
    def mistakes(self) -> tuple[str, ...]:
        return self._read.mistakes

    @property
    def language(self) -> str | None:
        """The language that the character speaks, such as `en` or `en_US`."""
        return self.options.language or self.spoken

    @property
    def kind(self) -> str | None:
        return self._text("source_type")

    @property
    def path(self) -> str | None:
        return self._text("path_on_server")

    def named(self, engine: str) -> str | None:
        """Return the voice that the file names for an engine."""
        return self.options.voices.get(engine) or self.options.voice

    def voice(self, engine: str, name: str, why: str = "", sample: Path | None = None, **more: Any) -> Voice:
        """Return a voice for the character; a fallback has a reason, *why*."""
        fields = {"speed": self.options.speed, "pitch": self.options.pitch, "language": self.language} | more
        return Voice(
            name,
            engine=engine,
            description=self._text("description") or "",
            sample=sample,
            is_exact=not why,
            why=why,
            **fields,
        )

    def missing(self, engine: str) -> str:
        """Return the reason of a fallback."""
        found = self.named(engine) or self.path
        return f"{engine} has no voice for {found}" if found else f"VOICE_SOURCE names no voice that {engine} knows"

    def _text(self, name: str) -> str | None:
        found = self.source.get(name)
        return found if isinstance(found, str) and found.strip() else None
