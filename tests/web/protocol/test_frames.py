"""Server events as frames of JSON text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from charhost.web.protocol.frames import InvalidEvent, error_event, frame, refusal


def test_a_refusal_echoes_the_event() -> None:
    """Clients match an error to their event by its id."""
    error = json.loads(refusal(InvalidEvent("invalid_value", "No.", "item.id"), "mine"))["error"]
    assert error == {
        "type": "invalid_request_error",
        "code": "invalid_value",
        "message": "No.",
        "param": "item.id",
        "event_id": "mine",
    }


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


def test_frames_keep_letters_as_they_are() -> None:
    """Letters beyond ASCII are sent as such, which is shorter than escapes."""
    assert "développeuse" in error_event("fatal", "x", "/développeuse")


@pytest.mark.parametrize("value", ["\ud800", {"x": "\ud800"}, [["\ud800"]]])
def test_frames_can_always_be_sent(value: Any) -> None:
    """A lone surrogate, from a character's file or a file name, cannot make a frame that no socket carries."""
    assert json.loads(frame("x", value=value).encode("utf-8"))["type"] == "x"
