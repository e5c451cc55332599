"""Voices of Piper."""

from pathlib import Path
from typing import Any

import pytest

from charhost.speech.speech import Voice
from charhost.speech.voices import piper_files
from charhost.speech.voices.piper import PiperVoices
from tests.speech.voices.helpers import piper_voice, wish


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the voices that this machine has."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(piper_files, "_WHEELS", ())


def mapped(installed: Path | None, name: str = "Ada", fallback: str | None = None, **source: Any) -> Voice:
    folder = Path("/characters") if installed is None else installed.parent / "characters"
    return PiperVoices(installed, fallback).map([wish(name, folder, **source)], ())[0]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"voices": {"piper": "en_GB-alan"}, "voice": "de_DE-eva"}, "en_GB-alan"),
        ({"voice": "de_DE-eva", "path_on_server": "en_GB-alan.onnx"}, "de_DE-eva"),
        ({"path_on_server": "own/ada.onnx"}, "ada"),
        ({"voice": "en_GB-many#2"}, "en_GB-many#2"),
        ({"voice": "en_GB-many#carl"}, "en_GB-many#1"),
    ],
)
def test_the_voice_in_the_file(tmp_path: Path, source: dict[str, Any], name: str) -> None:
    """By name, by path below the characters, and a speaker by number or name."""
    voices = tmp_path / "voices"
    piper_voice(voices, "en_GB-alan", "en_GB")
    piper_voice(voices, "de_DE-eva", "de_DE")
    piper_voice(voices, "en_GB-many", "en_GB", {"bea": 0, "carl": 1, "dora": 2})
    piper_voice(tmp_path / "characters" / "own", "ada")
    voice = mapped(voices, **source)
    assert (voice.name, voice.is_exact) == (name, True)
    assert voice.sample is not None
    assert voice.sample.stem == name.partition("#")[0]


@pytest.mark.parametrize("text", ["en_GB-none", "en_GB-many#3", "en_GB-many#nobody", "../outside", "/etc/passwd"])
def test_a_voice_that_is_not_there(tmp_path: Path, text: str) -> None:
    """A voice of the character's language speaks instead."""
    piper_voice(tmp_path, "outside")
    piper_voice(tmp_path / "voices", "en_GB-many", "en_GB", {"bea": 0, "carl": 1, "dora": 2})
    piper_voice(tmp_path / "voices", "de_DE-eva", "de_DE")
    voice = mapped(tmp_path / "voices", voice=text)
    assert voice.name.startswith("en_GB-many#")
    assert (voice.is_exact, voice.why) == (False, f"piper has no voice for {text}")


def test_characters_with_one_voice_differ(tmp_path: Path) -> None:
    """The name chooses pitch and speed, the same ones each time, unless the file has them."""
    piper_voice(tmp_path / "voices", "en_US-joe")
    manners = {(v.pitch, v.speed) for name in ("Ada", "Bea", "Carl") for v in (mapped(tmp_path / "voices", name),)}
    assert len(manners) == 3
    assert all(0.92 <= pitch <= 1.1 and 0.95 <= speed <= 1.05 for pitch, speed in manners)
    assert mapped(tmp_path / "voices") == mapped(tmp_path / "voices")
    assert mapped(tmp_path / "voices", pitch=1.2).pitch == 1.2


def test_characters_share_the_voices_of_their_language(tmp_path: Path) -> None:
    """Of several voices each character has its own, as it is."""
    for name in ("en_US-a", "en_GB-b", "en_GB-c", "fr_FR-d"):
        piper_voice(tmp_path / "voices", name, name[:5])
    found = [mapped(tmp_path / "voices", name) for name in ("Ada", "Bea", "Carl", "Dora", "Emil", "Fred", "Gus")]
    assert {voice.name for voice in found} == {"en_US-a", "en_GB-b", "en_GB-c"}
    assert {voice.pitch for voice in found} == {1.0}


def test_a_language_without_a_voice(tmp_path: Path) -> None:
    """The reason is the language, with the command that fetches a voice."""
    piper_voice(tmp_path / "voices", "en_US-joe")
    voice = mapped(tmp_path / "voices", language="fr")
    assert voice.name == "en_US-joe"
    assert voice.why == "piper has no voice for the language fr: charhost voice get fr_FR-siwis-medium"


def test_no_voice_at_all() -> None:
    """The voice has no name, and the reason says how to get one."""
    voice = mapped(None)
    assert (voice.name, voice.sample) == ("", None)
    assert "charhost voice get" in voice.why


def test_the_fallback_of_the_operator(tmp_path: Path) -> None:
    """--tts-voice speaks for all whose voice cannot be mapped."""
    piper_voice(tmp_path / "voices", "en_US-joe")
    piper_voice(tmp_path / "voices", "en_US-amy")
    voices = [mapped(tmp_path / "voices", name, "en_US-amy") for name in ("Ada", "Bea", "Carl")]
    assert {(voice.name, voice.pitch, voice.is_exact) for voice in voices} == {("en_US-amy", 1.0, False)}


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[" * 100_000, b"\xff"])
def test_a_file_that_is_no_voice(tmp_path: Path, content: bytes) -> None:
    """It is passed over."""
    piper_voice(tmp_path / "voices", "bad").with_name("bad.onnx.json").write_bytes(content)
    assert mapped(tmp_path / "voices", voice="bad").name == ""


def test_a_voice_that_a_client_names(tmp_path: Path) -> None:
    """One of those that are installed."""
    piper_voice(tmp_path / "voices", "en_US-joe")
    voices = PiperVoices(tmp_path / "voices", None)
    assert voices.named("alloy", ()) is None
    found = voices.named("en_US-joe", ())
    assert found is not None
    assert found.sample == tmp_path / "voices" / "en_US-joe.onnx"
