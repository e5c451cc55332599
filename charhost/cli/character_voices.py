"""The voices of the characters in a directory, for commands that show them without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from charhost.errors import SettingsError
from charhost.sandbox.trial import Trial
from charhost.settings import EMBEDDED, Settings
from charhost.speech.speech import Voice

if TYPE_CHECKING:
    from charhost.speech.voices.wish import Wish


class FoundVoice(NamedTuple):
    """The voice of one character, None without an engine that speaks; *warnings* are sentences."""

    character: str
    voice: Voice | None
    warnings: tuple[str, ...]


async def voices_of(settings: Settings, directory: Path, trials: Sequence[Trial]) -> list[FoundVoice]:
    """Return the voice of each character that would serve, with the engines of the settings, which are not started."""
    from charhost.speech.voices.character_voices import warnings
    from charhost.speech.voices.wish import Wish

    good = [trial for trial in trials if trial.error is None]
    wishes = [Wish(trial.name, (directory / trial.file).parent, trial.voice_source, trial.language) for trial in good]
    try:
        voices = await _mapped(settings, wishes)
    except SettingsError as e:
        return [FoundVoice(wish.character, None, (f"{wish.character}: {e}",)) for wish in wishes]
    found = []
    for wish, voice in zip(wishes, voices, strict=True):
        lines = warnings(wish, voice) if voice is not None else [f"{wish.character}: {text}" for text in wish.mistakes]
        found.append(FoundVoice(wish.character, voice, (*lines, *_unheard(settings, wish.character, wish.language))))
    return found


async def _mapped(settings: Settings, wishes: Sequence[Wish]) -> Sequence[Voice | None]:
    if settings.speech_address is None:
        return [None for _ in wishes]
    from charhost.speech.configured import engines_of
    from charhost.speech.voices.character_voices import CharacterVoices

    engines = engines_of(settings.model_copy(update={"stt": "off"}))
    assert isinstance(engines.voices, CharacterVoices)
    try:
        return await engines.voices.map(wishes)
    finally:
        await asyncio.gather(*(owned.close() for owned in engines.owned))


def _unheard(settings: Settings, character: str, language: str | None) -> list[str]:
    """Warn of a language that the embedded model, which is of English only, does not hear."""
    if settings.hearing_address != EMBEDDED or settings.stt_model is not None or not language:
        return []
    if language.replace("-", "_").partition("_")[0].lower() == "en":
        return []
    advice = "name another model of Whisper with --stt-model"
    return [f"{character}: the embedded engine hears English only, and the character speaks {language}: {advice}"]
