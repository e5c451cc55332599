"""The settings of a client's session, as they are sent and as a turn uses them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from charhost.web.protocol.session_config import SessionConfig, beta_format, settings_of
from charhost.web.protocol.session_params import ResponseParams, SessionParams, read

WEATHER = {"type": "function", "name": "get_weather"}


def config(*updates: dict[str, Any]) -> SessionConfig:
    """A session after some updates."""
    session = SessionConfig()
    for raw in updates:
        session = session.merged(read(SessionParams, raw, "session"))
    return session


def session_of(*updates: dict[str, Any]) -> dict[str, Any]:
    """Return the session that a GA client receives after these updates."""
    return config(*updates).ga("sess_1", "Ada")


def test_new_settings_are_shared() -> None:
    """Sessions that begin in the same minute have the same object; a dialect has its own."""
    new = [settings_of("ga") for _ in range(10)]
    assert len({id(one) for one in new}) <= 2  # a minute may end meanwhile
    assert new[0] != settings_of("beta")


def test_a_new_session() -> None:
    """The whole of 3.1, with the character as model and voice."""
    session = session_of()
    assert session.pop("expires_at") > time.time() + 3600
    pcm = {"type": "audio/pcm", "rate": 24000}
    assert session == {
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_1",
        "model": "Ada",
        "output_modalities": ["text"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {"format": pcm, "transcription": None, "noise_reduction": None, "turn_detection": None},
            "output": {"format": pcm, "voice": "Ada", "speed": 1.0},
        },
    }


def test_a_new_session_in_beta() -> None:
    """All that 3.1 lists, flat and without `type`."""
    assert SessionConfig().beta("sess_1", "Ada") == {
        "id": "sess_1",
        "object": "realtime.session",
        "model": "Ada",
        "modalities": ["text"],
        "instructions": "",
        "voice": "Ada",
        "input_audio_format": "pcm16",
        "output_audio_format": "pcm16",
        "input_audio_transcription": None,
        "turn_detection": None,
        "tools": [],
        "tool_choice": "auto",
        "temperature": 0.8,
        "max_response_output_tokens": "inf",
    }


def test_absent_means_unchanged() -> None:
    """Updates are merged, down to the last field."""
    session = session_of(
        {"instructions": "x", "audio": {"output": {"voice": "v"}}}, {"audio": {"output": {"speed": 1.5}}}
    )
    assert session["instructions"] == "x"
    assert (session["audio"]["output"]["voice"], session["audio"]["output"]["speed"]) == ("v", 1.5)
    assert session["audio"]["input"] == session_of()["audio"]["input"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("turn_detection", {"type": "server_vad", "threshold": 0.5}),
        ("transcription", {"model": "w", "language": "en"}),
        ("noise_reduction", {"type": "near_field"}),
    ],
)
def test_null_clears_what_can_be_off(field: str, value: Any) -> None:
    """A setting that is only echoed can be set, and cleared by null."""
    on, off = {"audio": {"input": {field: value}}}, {"audio": {"input": {field: None}}}
    assert session_of(on)["audio"]["input"][field] == value
    assert session_of(on, {"instructions": "x"})["audio"]["input"][field] == value
    assert session_of(on, off)["audio"]["input"][field] is None


def test_empty_clears_instructions_and_tools() -> None:
    """Empty instructions and an empty list of tools replace earlier ones."""
    session = session_of({"instructions": "x", "tools": [WEATHER], "tracing": "auto"})
    assert (session["instructions"], session["tools"], session["tracing"]) == ("x", [WEATHER], "auto")
    session = session_of(
        {"instructions": "x", "tools": [WEATHER], "tracing": "auto"}, {"instructions": "", "tools": []}
    )
    assert (session["instructions"], session["tools"], session["tracing"]) == ("", [], "auto")
    assert session_of({"tracing": "auto"}, {"tracing": None})["tracing"] is None


def test_a_format_is_replaced_whole() -> None:
    """A format without a rate does not keep the rate of the one before."""
    session = session_of({"audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}


@pytest.mark.parametrize("field", ["tracing", "truncation", "prompt", "reasoning"])
def test_objects_that_are_not_used_are_replaced_whole(field: str) -> None:
    """An object that is only echoed is replaced as a whole."""
    assert session_of({field: {"a": 1}}, {field: {"b": 2}})[field] == {"b": 2}


def test_a_tool_choice_is_replaced_whole() -> None:
    """A function that is no longer chosen is gone."""
    session = session_of({"tool_choice": {"type": "function", "name": "f"}}, {"tool_choice": "auto"})
    assert session["tool_choice"] == "auto"


def test_audio_is_asked_for_in_vain() -> None:
    """A request for audio output has no effect: the session has text."""
    assert session_of({"output_modalities": ["audio"]})["output_modalities"] == ["text"]


def test_the_clients_model_is_not_shown() -> None:
    """The model of a session is its character."""
    assert session_of({"model": "gpt-realtime-2.1"})["model"] == "Ada"


def test_temperature_is_of_the_beta_api() -> None:
    """The temperature is used in both dialects, and sent only in beta."""
    session = config({"temperature": 0.5})
    assert "temperature" not in session.ga("s", "Ada")
    assert session.beta("s", "Ada")["temperature"] == 0.5
    assert session.turn_options().options == {"temperature": 0.5}


@pytest.mark.parametrize(
    ("audio", "name"), [("audio/pcm", "pcm16"), ("audio/pcmu", "g711_ulaw"), ("audio/pcma", "g711_alaw")]
)
def test_names_of_formats(audio: str, name: str) -> None:
    """Each audio format has its beta name."""
    assert beta_format({"type": audio, "rate": None}) == name


def test_the_tool_choice_of_a_beta_client_is_a_string() -> None:
    """In beta the tool choice is always a string."""
    session = config({"tool_choice": {"type": "function", "name": "f"}})
    assert session.beta("s", "Ada")["tool_choice"] == "required"


def test_a_response_has_its_own() -> None:
    """The settings of one response do not change the session's."""
    session = config({"instructions": "x", "max_output_tokens": 7})
    raw = {"instructions": "y", "audio": {"output": {"voice": "v"}}}
    once = session.merged(read(ResponseParams, raw, "response"))
    assert (once.turn_options().instructions, session.turn_options().instructions) == ("y", "x")
    assert once.turn_options().options == {"max_tokens": 7}
    assert (once.ga("s", "Ada")["audio"]["output"]["voice"]) == "v"
    assert session.ga("s", "Ada")["audio"]["output"]["voice"] == "Ada"


def test_tools_as_the_model_knows_them() -> None:
    """The flat tools of the realtime API become the nested ones of chat completions, with parameters."""
    tool = WEATHER | {"description": "d", "parameters": {"type": "object", "properties": {"x": {}}}}
    bare, full = config({"tools": [WEATHER, tool]}).turn_options().tools
    assert bare == {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
    }
    assert full == {"type": "function", "function": {key: tool[key] for key in ("name", "description", "parameters")}}


@pytest.mark.parametrize(
    ("choice", "asked"),
    [
        ("auto", None),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "get_weather"}, {"type": "function", "function": {"name": "get_weather"}}),
        ({"type": "function", "name": "nope"}, None),
    ],
)
def test_choices_as_the_model_knows_them(choice: Any, asked: Any) -> None:
    """The default tool choice, and the choice of a missing tool, are left out: model servers refuse them."""
    assert config({"tools": [WEATHER], "tool_choice": choice}).turn_options().tool_choice == asked


def test_other_options_of_a_turn() -> None:
    """Whether it leaves a trace is handed on."""
    options = SessionConfig().turn_options(recorded=False)
    assert (options.items, options.recorded, options.options, options.tools) == (None, False, {}, [])


def test_stored_settings_come_back() -> None:
    """Settings that were saved as JSON are rendered as before, without nulls that the client never sent."""
    session = config({"tools": [WEATHER], "temperature": 0.5, "turn_detection": {"threshold": 0.5}, "reasoning": {}})
    again = SessionConfig.model_validate_json(session.model_dump_json())
    assert again.ga("s", "Ada") == session.ga("s", "Ada")
    assert again.beta("s", "Ada") == session.beta("s", "Ada")


def test_nulls_inside_a_setting_are_not_shown() -> None:
    """A null that clears nothing leaves no field behind, also in a setting that was off."""
    session = session_of({"audio": {"input": {"transcription": {"model": "w", "language": None}}}})
    assert session["audio"]["input"]["transcription"] == {"model": "w"}
