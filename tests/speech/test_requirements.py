"""The packages and models that engines need."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.errors import SettingsError
from charhost.speech.requirements import require, whisper_folder


def test_missing_package_is_named_with_its_command() -> None:
    """Only what is missing is named."""
    require("--tts embedded", "voice", "json")
    with pytest.raises(SettingsError, match=r"--tts embedded needs no_such_package: pip install 'charhost\[voice\]'"):
        require("--tts embedded", "voice", "json", "no_such_package")


def test_chosen_model_is_a_folder_with_its_file(tmp_path: Path) -> None:
    """A folder without the file of a model is refused before the engine starts."""
    with pytest.raises(SettingsError, match=r"has no model\.bin"):
        whisper_folder(str(tmp_path))
    (tmp_path / "model.bin").touch()
    assert whisper_folder(str(tmp_path)) == tmp_path
