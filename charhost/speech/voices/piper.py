"""Voices of Piper: files on this machine."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from charhost.speech.speech import Voice, VoiceName
from charhost.speech.voices.piper_files import PiperVoiceFile, family, installed, voice_in
from charhost.speech.voices.wish import Wish

Choice = TypeVar("Choice")

# Good voices by language, which `charhost voice get` fetches.
SUGGESTED = {
    "ar": "ar_JO-kareem-medium",
    "cs": "cs_CZ-jirka-medium",
    "de": "de_DE-thorsten-medium",
    "en": "en_US-hfc_female-medium",
    "es": "es_ES-davefx-medium",
    "fr": "fr_FR-siwis-medium",
    "it": "it_IT-paola-medium",
    "nl": "nl_NL-mls-medium",
    "pl": "pl_PL-gosia-medium",
    "pt": "pt_BR-faber-medium",
    "ru": "ru_RU-irina-medium",
    "uk": "uk_UA-ukrainian_tts-medium",
    "zh": "zh_CN-huayan-medium",
}


class PiperVoices:
    """The character's own file, else one of the installed voices, chosen by the character's name."""

    engine: ClassVar = "piper"

    def __init__(self, folder: Path | None, fallback: str | None) -> None:
        self._folder = folder
        self._fallback = fallback

    def map(self, wishes: Sequence[Wish], listed: Sequence[VoiceName]) -> list[Voice]:
        known = installed(self._folder)
        return [self._voice(wish, known) for wish in wishes]

    def named(self, name: str, listed: Sequence[VoiceName]) -> Voice | None:
        found = self._found(name, installed(self._folder), None)
        return Voice(_spelled(*found), sample=found[0].file, language=found[0].language) if found is not None else None

    def _voice(self, wish: Wish, known: Sequence[PiperVoiceFile]) -> Voice:
        path = wish.path if wish.path and wish.path.endswith(".onnx") else None
        for text in filter(None, (wish.named(self.engine), path)):
            if (found := self._found(text, known, wish.folder)) is not None:
                voice, speaker = found
                return wish.voice(self.engine, _spelled(voice, speaker), sample=voice.file)
        return self._instead(wish, known)

    def _found(
        self, text: str, known: Sequence[PiperVoiceFile], folder: Path | None
    ) -> tuple[PiperVoiceFile, int | None] | None:
        """Return the voice and the speaker that a text like `en_US-libritts_r-medium#12` means."""
        name, _, speaker = text.partition("#")
        own = [place for place in (folder, self._folder) if place is not None]
        file = name if name.endswith(".onnx") else f"{name}.onnx"
        found = next((voice for place in own if (voice := voice_in(file, place)) is not None), None)
        found = found or next((voice for voice in known if voice.name == name.removesuffix(".onnx")), None)
        number = found.speaker(speaker) if found is not None and speaker else None
        return None if found is None or (speaker and number is None) else (found, number)

    def _instead(self, wish: Wish, known: Sequence[PiperVoiceFile]) -> Voice:
        if not known:
            return wish.voice(self.engine, "", "piper has no voice at all: charhost voice get en_US-hfc_female-medium")
        chosen = self._found(self._fallback, known, None) if self._fallback else None
        if chosen is not None:
            return wish.voice(self.engine, _spelled(*chosen), wish.missing(self.engine), sample=chosen[0].file)
        fitting = [voice for voice in known if wish.language is None or voice.family == family(wish.language)]
        voice = _pick(fitting or known, wish.character, "voice")
        speaker = _pick(range(voice.count), wish.character, "speaker") if voice.count > 1 else None
        own = {} if len(fitting or known) > 1 or speaker is not None else _manner(wish)
        why = wish.missing(self.engine) if fitting else _missing_language(wish.language or "")
        return wish.voice(self.engine, _spelled(voice, speaker), why, sample=voice.file, **own)


def _spelled(voice: PiperVoiceFile, speaker: int | None) -> str:
    return voice.name if speaker is None else f"{voice.name}#{speaker}"


def _missing_language(language: str) -> str:
    suggested = SUGGESTED.get(family(language))
    advice = f": charhost voice get {suggested}" if suggested else ""
    return f"piper has no voice for the language {language}{advice}"


def _share(name: str, purpose: str) -> float:
    """Return a number from 0 to 1 for a name, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {name}".encode()).digest()[:4]) / 2**32


def _pick(choices: Sequence[Choice], name: str, purpose: str) -> Choice:
    return choices[int(_share(name, purpose) * len(choices))]


def _manner(wish: Wish) -> dict[str, float]:
    """Return another pitch and speed for each character, so that one voice does not make all sound alike."""
    pitch = round(0.92 + 0.18 * _share(wish.character, "pitch"), 3)
    speed = round(0.95 + 0.1 * _share(wish.character, "speed"), 3)
    given = wish.options.model_fields_set
    own = {"pitch": pitch, "speed": speed}
    return {name: value for name, value in own.items() if name not in given}
