"""The settings of speech and hearing."""

from typing import Any

import pytest

from charhost.errors import SettingsError
from charhost.settings import Settings


@pytest.mark.parametrize(
    ("given", "speech", "hearing"),
    [
        ({}, None, None),
        ({"voice": True}, "embedded", "embedded"),
        ({"voice": True, "tts": "off"}, None, "embedded"),
        ({"voice": True, "stt": "ws://127.0.0.1:8090/"}, "embedded", "ws://127.0.0.1:8090"),
        ({"tts": "http://127.0.0.1:8880/v1"}, "http://127.0.0.1:8880/v1", None),
        ({"stt": "embedded"}, None, "embedded"),
    ],
)
def test_engines_that_are_asked_for(given: dict[str, Any], speech: str | None, hearing: str | None) -> None:
    """Off unless asked for; --voice is both engines of this machine, and --tts and --stt take precedence."""
    settings = Settings(**given)
    assert (settings.speech_address, settings.hearing_address) == (speech, hearing)


@pytest.mark.parametrize("name", ["tts", "stt"])
@pytest.mark.parametrize("address", ["on", "ftp://example.org", "127.0.0.1:8089", "ws://"])
def test_addresses_that_are_none(name: str, address: str) -> None:
    """The error has an example of each kind of engine."""
    with pytest.raises(SettingsError, match=r"expected a URL such as http.* or ws://.*, embedded, or off"):
        Settings(**{name: address})


@pytest.mark.parametrize("name", ["tts", "stt", "voice_cloning_url"])
def test_a_key_in_an_address_is_refused_and_not_shown(name: str) -> None:
    """A key in an address would show in logs."""
    with pytest.raises(SettingsError, match="a URL must not hold a key") as refused:
        Settings(**{name: "http://me:s3cret@example.org"})
    assert "s3cret" not in str(refused.value)
