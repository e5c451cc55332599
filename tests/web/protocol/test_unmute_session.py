"""The settings of a session in unmute's dialect."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from charhost.web.protocol.unmute_session import UnmuteParams, UnmuteSettings, UnmuteUpdate


def params(**fields: Any) -> UnmuteParams:
    """The parameters that a client sent."""
    return UnmuteUpdate.model_validate({"type": "session.update", "session": fields}).session


def test_a_session_is_returned_as_it_was_received() -> None:
    """Fields that the client did not send are not returned, except the one that unmute's table demands."""
    assert params(voice="Ada").as_received == {"voice": "Ada", "allow_recording": False}
    assert params(allow_recording=True, voice=None).as_received == {"voice": None, "allow_recording": True}


def test_unknown_fields_of_instructions_are_kept() -> None:
    """unmute's own prompts have fields of their own, which their client expects back."""
    instructions = {"type": "smalltalk", "language": "fr"}
    assert params(instructions=instructions).as_received["instructions"] == instructions


def test_constant_instructions_need_their_text() -> None:
    """Without a text the character has no instructions."""
    with pytest.raises(ValidationError, match="those of type 'constant' need a 'text'"):
        params(instructions={"type": "constant"})


def test_stored_settings_are_restored() -> None:
    """A state file has them under the names that it had from the first version on."""
    sent = params(voice="Ada", instructions={"type": "constant", "text": "Be brief."})
    settings = UnmuteSettings().model_copy(update={"params": sent, "greeted": True})
    stored = settings.stored()
    assert stored == {
        "wishes": {"voice": "Ada", "instructions": {"type": "constant", "text": "Be brief."}},
        "greeted": True,
    }
    assert UnmuteSettings.model_validate(stored) == settings


def test_new_settings_are_described() -> None:
    """Before the first `session.update` a session has no parameters and no greeting."""
    settings = UnmuteSettings()
    assert (settings.described("sess_1", "Ada", 0), settings.greeted) == ({"allow_recording": False}, False)
