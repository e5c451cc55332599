"""Voices of moshi-server: files on that server, or sounds to be cloned."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from charhost.speech.speech import Voice, VoiceName
from charhost.speech.voices.files import file_below
from charhost.speech.voices.wish import Wish


class KyutaiVoices:
    """The server speaks with its default voice for a name that it does not know, and does not report that."""

    engine: ClassVar = "kyutai"

    def __init__(self, folder: Path | None, fallback: str | None, *, clones: bool) -> None:
        self._folder = folder
        self._fallback = fallback or ""
        self._clones = clones

    def map(self, wishes: Sequence[Wish], listed: Sequence[VoiceName]) -> list[Voice]:
        return [self._voice(wish) for wish in wishes]

    def named(self, name: str, listed: Sequence[VoiceName]) -> Voice | None:
        return Voice(name)

    def _voice(self, wish: Wish) -> Voice:
        if (named := wish.named(self.engine)) is not None:
            return wish.voice(self.engine, named)
        if wish.kind == "freesound":
            return self._of_freesound(wish)
        if self._clones and wish.path and (sample := self._sample(wish.path, wish.folder)) is not None:
            return wish.voice(self.engine, wish.path, sample=sample)
        return (
            wish.voice(self.engine, wish.path)
            if wish.path
            else wish.voice(self.engine, self._fallback, wish.missing(self.engine))
        )

    def _sample(self, path: str, folder: Path) -> Path | None:
        return file_below(path, [folder, self._folder] if self._folder is not None else [folder])

    def _of_freesound(self, wish: Wish) -> Voice:
        if wish.path:
            return wish.voice(self.engine, wish.path)
        sound = wish.source.get("sound_instance")
        if isinstance(sound, dict) and "id" in sound and isinstance(sound.get("name"), str):
            return wish.voice(self.engine, f"unmute-prod-website/freesound/{sound['id']}_{_slug(sound['name'])}.mp3")
        return wish.voice(self.engine, self._fallback, wish.missing(self.engine))


def _slug(name: str) -> str:
    """Spell the name of a sound as unmute names its file."""
    return re.sub(r"[^a-z0-9-]", "", name.lower().replace(" ", "-"))
