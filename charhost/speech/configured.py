"""The engines that the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from charhost.settings import EMBEDDED, Settings
from charhost.speech.engines import NO_ENGINES, Engines, HasState, Owned
from charhost.speech.requirements import require, whisper_folder
from charhost.speech.voices.character_voices import CharacterVoices

if TYPE_CHECKING:
    from charhost.speech.hearing import Hearing
    from charhost.speech.speech import Speech
    from charhost.speech.voices.mapper import Mapper

    class OwnedSpeech(Speech, Owned, Protocol):
        """An engine that speaks and that ends with the server."""

    class OwnedHearing(Hearing, Owned, Protocol):
        """An engine that hears and that ends with the server."""


def engines_of(settings: Settings) -> Engines:
    """Return the engines of a server, not started; raises `SettingsError` for a missing package."""
    if settings.speech_address is None and settings.hearing_address is None:
        return NO_ENGINES
    require("a voice (--tts, --stt)", "voice", "msgpack", "numpy", "soxr", "onnxruntime")
    owned: list[Owned] = []
    speech, voices, hearing, files, cloning = None, None, None, None, None
    if (address := settings.speech_address) is not None:
        speech, mapper, cloning = _speech(settings, address)
        voices = CharacterVoices(speech, mapper, settings.client_voices)
        owned.append(speech)
    if (address := settings.hearing_address) is not None:
        hearing = _hearing(settings, address)
        from charhost.speech.embedded.sound_files import SoundFiles

        files = SoundFiles()
        owned += [hearing, files]
    return Engines(speech=speech, voices=voices, hearing=hearing, files=files, cloning=cloning, owned=tuple(owned))


def _speech(settings: Settings, address: str) -> tuple[OwnedSpeech, Mapper, HasState | None]:
    key, fallback = _secret(settings.tts_key), settings.tts_voice
    if address == EMBEDDED:
        require("--tts embedded", "piper", "piper")
        from charhost.speech.embedded.speech import PiperSpeech
        from charhost.speech.voices.piper import PiperVoices

        return PiperSpeech(settings.voices), PiperVoices(settings.voices, fallback), None
    if _is_socket(address):
        from charhost.speech.kyutai.speech import KyutaiSpeech
        from charhost.speech.voices.kyutai import KyutaiVoices

        speech = KyutaiSpeech(address, key, settings.voice_cloning_url)
        clones = speech.cloning is not None
        return speech, KyutaiVoices(settings.voices, fallback, clones=clones), speech.cloning
    from charhost.speech.openai.speech import OpenAISpeech
    from charhost.speech.voices.openai import OpenAIVoices

    return OpenAISpeech(address, key, settings.tts_model, fallback), OpenAIVoices(fallback), None


def _hearing(settings: Settings, address: str) -> OwnedHearing:
    key, model = _secret(settings.stt_key), settings.stt_model
    if address == EMBEDDED:
        require("--stt embedded", "voice", "faster_whisper")
        from charhost.speech.embedded.hearing import WhisperHearing

        return WhisperHearing(whisper_folder(model))
    if _is_socket(address):
        from charhost.speech.kyutai.hearing import KyutaiHearing

        return KyutaiHearing(address, key)
    from charhost.speech.openai.hearing import OpenAIHearing

    return OpenAIHearing(address, key, model)


def _is_socket(address: str) -> bool:
    return urlsplit(address).scheme in ("ws", "wss")


def _secret(key: SecretStr | None) -> str | None:
    return key.get_secret_value() if key is not None else None
