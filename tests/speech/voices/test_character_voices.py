"""The voices of all characters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from charhost.character.character import Character
from charhost.speech.failure import SpeechError
from charhost.speech.speech import VoiceName
from charhost.speech.voices.character_voices import CharacterVoices
from charhost.speech.voices.openai import OpenAIVoices
from tests.character.helpers import character_of
from tests.conftest import character
from tests.speech.engines import ScriptedSpeech


class Listing(ScriptedSpeech):
    """Lists voices, or fails to."""

    def __init__(self, *found: list[VoiceName] | SpeechError) -> None:
        super().__init__()
        self.found = list(found)
        self.asked = 0

    async def voices(self) -> Sequence[VoiceName]:
        self.asked += 1
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, SpeechError):
            raise found
        return found


def ada(**source: Any) -> Character:
    return replace(character_of(character("Ada")), voice_source=source)


async def test_a_fallback_is_one_warning_for_a_generation(caplog: pytest.LogCaptureFixture) -> None:
    """The log says once who speaks with another voice, and why; again after a reload of the character."""
    voices = CharacterVoices(Listing([VoiceName("coral", "Coral")]), OpenAIVoices(None))
    for _ in range(3):
        await voices.of(ada(path_on_server="voices/ada.wav"))
    expected = "Ada: openai has no voice for voices/ada.wav; it speaks with coral"
    assert [record.message for record in caplog.records] == [expected]
    await voices.of(replace(ada(path_on_server="voices/ada.wav"), generation=4))
    assert len(caplog.records) == 2


async def test_a_key_with_a_wrong_value_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It has no effect, and the other keys have."""
    voices = CharacterVoices(Listing([]), OpenAIVoices(None))
    voice = await voices.of(ada(voice="coral", speed=9))
    assert (voice.name, voice.speed, voice.is_exact) == ("coral", 1.0, True)
    assert "Ada: VOICE_SOURCE['speed'] is 9 and has no effect" in caplog.text


async def test_a_server_is_asked_until_it_lists_its_voices() -> None:
    """A server that is down at first is asked again; a list is kept."""
    engine = Listing(SpeechError("unreachable", "down"), [VoiceName("ada", "Ada")])
    voices = CharacterVoices(engine, OpenAIVoices(None))
    assert [(await voices.of(ada())).name for _ in range(3)] == ["alloy", "ada", "ada"]
    assert engine.asked == 2


@pytest.mark.parametrize("may_choose", [True, False])
async def test_clients_choose_where_they_may(may_choose: bool) -> None:
    """Without --client-voices the voice that a client names is not heard."""
    voices = CharacterVoices(Listing([VoiceName("coral", "Coral")]), OpenAIVoices(None), may_choose)
    await voices.of(ada())
    assert (voices.named("coral") is not None) == may_choose
    assert voices.named("nova") is None
