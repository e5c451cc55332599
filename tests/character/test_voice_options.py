"""The options in the VOICE_SOURCE of a character."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.character.voice_options import VoiceOptions, voice_options


def test_any_source_without_options_has_the_defaults() -> None:
    """Other keys, and options that are None, are left alone."""
    assert voice_options({"source_type": "file", "path_on_server": "a.wav", "voice": None}) == (VoiceOptions(), ())


def test_options_are_read() -> None:
    """All options of a source are read."""
    given = {"voice": "alba", "voices": {"openai": "nova"}, "speed": 1.5, "pitch": 0.9, "language": "fr"}
    assert voice_options(given) == (VoiceOptions.model_validate(given), ())


@pytest.mark.parametrize(
    ("name", "value"),
    [("voice", ""), ("voices", {"openai": 5}), ("speed", 3), ("pitch", float("nan")), ("language", ["en"])],
)
def test_wrong_option_has_no_effect(name: str, value: Any) -> None:
    """An option with a value that cannot be used costs only itself, and a sentence says so."""
    good = {"voice": "alba", "language": "fr"}
    options, (mistake,) = voice_options(good | {name: value})
    good.pop(name, None)
    assert options == VoiceOptions.model_validate(good)
    assert mistake.startswith(f"VOICE_SOURCE['{name}'] is ")
    assert "has no effect" in mistake
