"""Voices of servers with OpenAI's audio API."""

from typing import Any

import pytest

from charhost.speech.speech import VoiceName
from charhost.speech.voices.openai import OpenAIVoices
from tests.speech.voices.helpers import wish

LISTED = [VoiceName("coral", "Coral"), VoiceName("ada", "Ada"), VoiceName("grace", "Grace")]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"voices": {"openai": "af_bella(2)+af_sky"}, "voice": "coral"}, "af_bella(2)+af_sky"),
        ({"voice": "coral", "path_on_server": "voices/grace.wav"}, "coral"),
        ({"voices": {"piper": "en_US-joe-medium"}, "path_on_server": "voices/grace.wav"}, "grace"),
        ({"path_on_server": "voices/other.wav"}, "ada"),
        ({}, "ada"),
    ],
)
def test_the_first_that_exists_is_taken(source: dict[str, Any], name: str) -> None:
    """The names in the file, then a listed voice that is called like the voice's file, then one like the character."""
    voice = OpenAIVoices(None).map([wish(**source)], LISTED)[0]
    assert (voice.name, voice.is_exact, voice.why) == (name, True, "")


@pytest.mark.parametrize(
    ("fallback", "listed", "name"), [("nova", LISTED, "nova"), (None, LISTED, "coral"), (None, [], "alloy")]
)
def test_a_voice_that_cannot_be_mapped(fallback: str | None, listed: list[VoiceName], name: str) -> None:
    """--tts-voice speaks, else the first of the server's list, else OpenAI's first; the reason names the file."""
    voice = OpenAIVoices(fallback).map([wish("Bea", path_on_server="voices/b.wav")], listed)[0]
    assert (voice.name, voice.is_exact, voice.why) == (name, False, "openai has no voice for voices/b.wav")


def test_what_goes_with_the_voice() -> None:
    """Speed, pitch, language and the description come from the file."""
    voice = OpenAIVoices(None).map([wish(voice="coral", speed=1.5, description="Low.", language="en_GB")], LISTED)[0]
    assert (voice.speed, voice.pitch, voice.language, voice.description) == (1.5, 1.0, "en_GB", "Low.")


def test_a_voice_that_a_client_names() -> None:
    """A client chooses among those that are listed; of a server without a list any name will do."""
    voices = OpenAIVoices(None)
    assert voices.named("nova", LISTED) is None
    assert [voice and voice.name for voice in (voices.named("coral", LISTED), voices.named("nova", []))] == [
        "coral",
        "nova",
    ]
