"""Realtime events, as frames of JSON text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from charhost.events import BadEvent, error_event, new_id, parse, session_event, session_object


def refusal(event: object) -> BadEvent:
    """What is said to an event that cannot be obeyed."""
    with pytest.raises(BadEvent) as caught:
        parse(event if isinstance(event, str) else json.dumps(event))
    return caught.value


def test_a_session_update_carries_the_clients_wishes() -> None:
    """Model and instructions are read from the session."""
    event = parse(json.dumps({"type": "session.update", "session": {"model": "Ada", "instructions": "Be brief."}}))
    assert (event.session.model, event.session.instructions) == ("Ada", "Be brief.")


def test_what_is_absent_is_none() -> None:
    """A wish that is not made is told apart from an empty one."""
    assert parse('{"type": "session.update", "session": {}}').session.instructions is None
    assert parse('{"type": "session.update", "session": {"instructions": ""}}').session.instructions == ""


def test_unknown_fields_are_ignored() -> None:
    """Fields that are not used here pass, as SDKs add new ones every month."""
    session = {"type": "realtime", "reasoning": {"effort": "low"}, "audio": {}, "tracing": "auto"}
    assert parse(json.dumps({"type": "session.update", "session": session, "extra": 1})).session.model is None


@pytest.mark.parametrize(
    "text",
    ["", "hello", "{", "5", "null", "[]", '"session.update"', "{}", '{"type": 5}', '{"type": null}', "[" * 100_000],
)
def test_what_is_no_event_is_invalid_json(text: str) -> None:
    """Text that is no JSON object with a string `type` is refused as such."""
    error = refusal(text)
    assert (error.code, error.param, error.event_id) == ("invalid_json", None, None)


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    """The refusal of an unknown type lists the types there are and echoes the event's id."""
    error = refusal({"type": "nope", "event_id": "e1"})
    assert (error.code, error.param, error.event_id) == ("invalid_value", "type", "e1")
    assert str(error) == "Invalid type. Supported types are: session.update."


def test_a_missing_field_is_named() -> None:
    """The refusal names what is missing."""
    error = refusal({"type": "session.update", "event_id": "e1"})
    assert (error.code, error.param, error.event_id) == ("missing_required_parameter", "session", "e1")
    assert str(error) == "Missing required parameter: 'session'."


@pytest.mark.parametrize(
    ("session", "param"),
    [(5, "session"), ({"model": 5}, "session.model"), ({"instructions": []}, "session.instructions")],
)
def test_a_wrong_type_is_named_with_its_path(session: object, param: str) -> None:
    """The refusal names the path of the field that has the wrong type."""
    error = refusal({"type": "session.update", "session": session, "event_id": "e1"})
    assert (error.code, error.param, error.event_id) == ("invalid_type", param, "e1")


def test_an_event_id_that_is_no_string_is_not_echoed() -> None:
    """Only what an event id may be is sent back."""
    assert refusal({"type": "nope", "event_id": 5}).event_id is None


def test_an_error_event_has_all_its_fields() -> None:
    """The five fields of an error are always there, null or not, and further ones behind them."""
    event = json.loads(error_event("fatal", "characters_reloaded", "Bye.", retry_after_ms=5))
    assert event["type"] == "error"
    assert event["error"] == {
        "type": "fatal",
        "code": "characters_reloaded",
        "message": "Bye.",
        "param": None,
        "event_id": None,
        "retry_after_ms": 5,
    }


def test_every_event_has_an_id_of_its_own() -> None:
    """Strict clients refuse events whose id is missing or comes twice."""
    frames = [error_event("server_error", "x", "y") for _ in range(100)]
    assert len({json.loads(frame)["event_id"] for frame in frames}) == 100


def test_ids_say_what_they_identify() -> None:
    """An id begins with the kind of its thing, as clients expect."""
    assert new_id("sess").startswith("sess_")
    assert len(new_id("sess")) > 20


def test_frames_keep_letters_as_they_are() -> None:
    """Letters beyond ASCII are sent as such, which is shorter than escapes."""
    assert "développeuse" in error_event("fatal", "x", "/développeuse")


@pytest.mark.parametrize("make", [lambda text: error_event("x", "y", text), lambda text: session_event(text, {})])
def test_frames_can_always_be_sent(make: Any) -> None:
    """A lone surrogate, from a client's JSON or a file name, cannot make a frame that no socket carries."""
    assert make("\ud800").encode("utf-8")


def test_a_session_is_described_as_the_realtime_api_does() -> None:
    """Everything that strict clients require of a session is there, and the character's prompt is not."""
    event = json.loads(session_event("session.created", session_object("sess_1", "Ada", "")))
    session = event["session"]
    assert event["type"] == "session.created"
    assert (session["type"], session["object"], session["id"]) == ("realtime", "realtime.session", "sess_1")
    assert (session["model"], session["audio"]["output"]["voice"]) == ("Ada", "Ada")
    assert (session["output_modalities"], session["instructions"], session["tools"]) == (["text"], "", [])
    assert session["audio"]["input"]["turn_detection"] is None
