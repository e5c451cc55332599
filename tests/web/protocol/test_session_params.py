"""The session parameters of clients, in either dialect."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.jsontext import Json
from charhost.web.protocol.frames import InvalidEvent
from charhost.web.protocol.session_params import ResponseParams, SessionParams, read


def session_of(**raw: Any) -> Json:
    """Return the parsed session of an update."""
    return read(SessionParams, raw, "session").model_dump(exclude_unset=True)


def refused(**raw: Any) -> tuple[str, str | None, str]:
    """How a session.update is refused."""
    with pytest.raises(InvalidEvent) as caught:
        read(SessionParams, raw, "session")
    return caught.value.code, caught.value.param, str(caught.value)


def test_a_missing_field_stays_missing() -> None:
    """A missing field differs from an empty one."""
    assert session_of() == {}
    assert session_of(instructions="", tools=[]) == {"instructions": "", "tools": []}


def test_null_sets_no_parameter() -> None:
    """Null is ignored, as SDKs send it for unset fields, except where it turns a setting off."""
    assert session_of(instructions=None, tools=None, model=None, audio=None, voice=None) == {}
    assert session_of(tracing=None) == {"tracing": None}
    cleared = session_of(turn_detection=None, input_audio_transcription=None, input_audio_noise_reduction=None)
    assert cleared["audio"]["input"] == {"turn_detection": None, "transcription": None, "noise_reduction": None}


def test_unknown_fields_are_ignored() -> None:
    """Unknown fields of newer SDKs are ignored, at any depth."""
    assert session_of(new=1, audio={"new": 1, "input": {"new": 1}}) == {"audio": {"input": {}}}


@pytest.mark.parametrize(
    ("beta", "ga"),
    [
        ({"modalities": ["text", "audio"]}, {"output_modalities": ["text", "audio"]}),
        ({"voice": "x"}, {"audio": {"output": {"voice": "x"}}}),
        ({"speed": 1.2}, {"audio": {"output": {"speed": 1.2}}}),
        ({"input_audio_format": "pcm16"}, {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}}),
        ({"output_audio_format": "g711_alaw"}, {"audio": {"output": {"format": {"type": "audio/pcma"}}}}),
        ({"input_audio_transcription": {"model": "w"}}, {"audio": {"input": {"transcription": {"model": "w"}}}}),
        (
            {"input_audio_noise_reduction": {"type": "far_field"}},
            {"audio": {"input": {"noise_reduction": {"type": "far_field"}}}},
        ),
        (
            {"turn_detection": {"type": "semantic_vad"}},
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
        ),
        ({"max_response_output_tokens": 5}, {"max_output_tokens": 5}),
        ({"temperature": 0.5}, {"temperature": 0.5}),
    ],
)
def test_the_beta_shape_is_understood_too(beta: Json, ga: Json) -> None:
    """openai-python's own README showed it on the GA client."""
    assert session_of(**beta) == session_of(**ga) == ga


def test_the_ga_shape_counts_over_the_beta_shape() -> None:
    """A client that sends both means the newer one; the rest of the beta shape is joined to it."""
    both = session_of(voice="old", input_audio_format="pcm16", audio={"output": {"voice": "new"}})
    assert both["audio"]["output"] == {"voice": "new"}
    assert both["audio"]["input"]["format"]["type"] == "audio/pcm"


def test_an_object_may_name_the_voice() -> None:
    """A voice may be an object with an id, which is echoed."""
    assert session_of(audio={"output": {"voice": {"id": "x"}}}) == {"audio": {"output": {"voice": "x"}}}


def test_turn_detection_none() -> None:
    """Turn detection "none" becomes null, since strict clients refuse "none" in the echo."""
    assert session_of(turn_detection={"type": "none"})["audio"]["input"] == {"turn_detection": None}


def test_turn_detection_is_echoed() -> None:
    """Turn detection is echoed unchanged, and not used."""
    detection = {"type": "server_vad", "threshold": 0.5, "idle_timeout_ms": None}
    assert session_of(turn_detection=detection)["audio"]["input"]["turn_detection"] == detection


@pytest.mark.parametrize("choice", ["auto", "none", "required", {"type": "function", "name": "f"}])
def test_tool_choices(choice: Any) -> None:
    """The three words, or one function."""
    assert session_of(tool_choice=choice) == {"tool_choice": choice}


@pytest.mark.parametrize("most", [1, 4096, "inf"])
def test_limits_of_tokens(most: Any) -> None:
    """From one to 4,096, or without a limit."""
    assert session_of(max_output_tokens=most) == {"max_output_tokens": most}


@pytest.mark.parametrize("field", ["tracing", "truncation"])
def test_settings_that_are_a_word_or_an_object(field: str) -> None:
    """Both are kept as they came; another word is refused."""
    assert session_of(**{field: "auto"}) == {field: "auto"}
    assert session_of(**{field: {"x": 1}}) == {field: {"x": 1}}
    assert refused(**{field: "x"})[:2] == ("invalid_value", f"session.{field}")
    assert refused(**{field: 5})[:2] == ("invalid_type", f"session.{field}")


def test_the_bad_field_has_the_clients_name() -> None:
    """The error of a beta client has the beta name of the field."""
    code, param, text = refused(voice=5)
    assert (code, param) == ("invalid_type", "session.voice")
    assert text.startswith("Invalid 'session.voice': ")
    assert refused(audio={"output": {"voice": 5}})[1] == "session.audio.output.voice"


def test_what_is_in_the_way_is_named() -> None:
    """Where a beta field does not fit into the GA shape, the error names the GA field."""
    assert refused(voice="x", audio=5)[:2] == ("invalid_type", "session.audio")


def test_a_response_may_set_more_parameters() -> None:
    """Conversation, metadata and input are of one response only."""
    raw = {"conversation": "none", "metadata": {"a": "b"}, "input": [{"type": "item_reference", "id": "x"}]}
    assert read(ResponseParams, raw, "response").model_dump(exclude_unset=True) == raw
    assert session_of(**raw) == {}


@pytest.mark.parametrize("pairs", [16, 17])
def test_metadata_has_a_limit(pairs: int) -> None:
    """Sixteen pairs, as at OpenAI."""
    raw = {"metadata": {str(number): "" for number in range(pairs)}}
    if pairs == 16:
        assert read(ResponseParams, raw, "response").metadata == raw["metadata"]
    else:
        with pytest.raises(InvalidEvent, match="at most 16"):
            read(ResponseParams, raw, "response")


def test_the_clients_object_is_left_alone() -> None:
    """Reading moves fields in a copy."""
    raw: Json = {"voice": "x", "audio": {"output": {"speed": 1.0}}}
    read(SessionParams, raw, "session")
    assert raw == {"voice": "x", "audio": {"output": {"speed": 1.0}}}
