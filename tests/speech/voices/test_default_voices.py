"""The default characters with the engine of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.settings import Settings
from charhost.speech.speech import Voice
from charhost.speech.voices import piper_files
from charhost.speech.voices.character_voices import CharacterVoices
from charhost.speech.voices.piper import PiperVoices
from tests.speech.engines import ScriptedSpeech
from tests.speech.voices.helpers import piper_voice

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the voices that this machine has."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(piper_files, "_WHEELS", ())


async def voices(folder: Path) -> dict[str, Voice]:
    """Return the voice of each default character, with the voices of Piper in a folder."""
    manager = CharacterManager(Settings(directory=ROOT / "characters"), Metrics())
    await manager.reload_characters(trigger="startup")
    characters = list(manager.current.values())
    found = await CharacterVoices(ScriptedSpeech(), PiperVoices(folder, None)).of_all(characters)
    return {character.name: voice for character, voice in zip(characters, found, strict=True)}


async def test_each_sounds_different(tmp_path: Path) -> None:
    """With the one voice of the extra no two characters sound alike."""
    piper_voice(tmp_path, "en_US-joe-medium")
    found = await voices(tmp_path)
    assert len(found) >= 7
    assert len({(voice.name, voice.pitch, voice.speed) for voice in found.values()}) == len(found)


async def test_noemie_speaks_french(tmp_path: Path) -> None:
    """Where a French voice is installed it is Noémie's, and only hers."""
    for name in ("en_US-joe-medium", "en_GB-alan-medium", "fr_FR-siwis-medium"):
        piper_voice(tmp_path, name, name[:5])
    found = await voices(tmp_path)
    assert [name for name, voice in found.items() if voice.name == "fr_FR-siwis-medium"] == ["Noémie"]


async def test_what_there_is_to_install(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a French voice she speaks with another one; the log, and what the page shows, have the command."""
    piper_voice(tmp_path, "en_US-joe-medium")
    noemie = (await voices(tmp_path))["Noémie"]
    why = "piper has no voice for the language fr: charhost voice get fr_FR-siwis-medium"
    assert (noemie.name, noemie.is_exact, noemie.why) == ("en_US-joe-medium", False, why)
    assert f"Noémie: {why}; it speaks with en_US-joe-medium" in caplog.text
