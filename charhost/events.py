"""Realtime client and server events, as frames of JSON text."""

from __future__ import annotations

import re
import secrets
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from charhost.text import display

_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][\da-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][\da-fA-F]{2})\\u[dD][c-fC-F][\da-fA-F]{2}"
)

SUPPORTED = ("session.update",)


class BadEvent(Exception):
    """What a client sent is no event that can be obeyed; the attributes are the fields of the error event."""

    def __init__(self, code: str, message: str, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.event_id = event_id


class SessionWishes(BaseModel):
    """The `session` of a `session.update`; fields that are not used here are ignored, as clients add new ones."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = None
    instructions: str | None = None


class SessionUpdate(BaseModel):
    """`session.update`: the client's wishes for its session."""

    model_config = ConfigDict(extra="ignore")

    event_id: str | None = None
    session: SessionWishes


def parse(text: str) -> SessionUpdate:
    """Read one client event; raises `BadEvent`."""
    event = _decoded(text)
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise BadEvent("invalid_json", "Expected a JSON object with a string 'type'.")
    event_id = event["event_id"] if isinstance(event.get("event_id"), str) else None
    if event["type"] not in SUPPORTED:
        known = ", ".join(SUPPORTED)
        raise BadEvent("invalid_value", f"Invalid type. Supported types are: {known}.", "type", event_id)
    try:
        return SessionUpdate.model_validate(event)
    except ValidationError as e:
        raise _bad_field(e, event_id) from e


def session_event(kind: str, session: dict[str, Any]) -> str:
    """Make `session.created` or `session.updated`."""
    return _frame(kind, session=session)


def session_object(session_id: str, character: str, instructions: str) -> dict[str, Any]:
    """Describe a session as the GA dialect does; the character's own prompt is never part of it."""
    audio_format = {"type": "audio/pcm", "rate": 24000}
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": character,
        "output_modalities": ["text"],
        "instructions": instructions,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {"format": audio_format, "transcription": None, "noise_reduction": None, "turn_detection": None},
            "output": {"format": audio_format, "voice": character, "speed": 1.0},
        },
    }


def error_event(
    kind: str, code: str, message: str, param: str | None = None, event_id: str | None = None, **more: Any
) -> str:
    """Make an `error` event; *event_id* is the one of the client's event that it answers."""
    fields = {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}
    return _frame("error", error=fields | more)


def new_id(prefix: str) -> str:
    """Make an id that nobody can guess."""
    return f"{prefix}_{secrets.token_hex(12)}"


def _frame(kind: str, **fields: Any) -> str:
    # Not with the json module: what it holds may have been replaced by a character file.
    event = {"type": kind, "event_id": new_id("event"), **fields}
    try:
        return to_json(event).decode()
    except (ValueError, PydanticSerializationError):  # a lone surrogate, which UTF-8 cannot spell
        return to_json(_spelled(event)).decode()


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    return display(value) if isinstance(value, str) else value


def _decoded(text: str) -> Any:
    """Decode JSON; None if it is none. A lone surrogate, as half an emoji is sent by JavaScript, is replaced."""
    for attempt in (text, _LONE_SURROGATE.sub(r"\\ufffd", text)):
        try:
            return from_json(attempt, allow_inf_nan=False)
        except ValueError:
            pass
    return None


def _bad_field(error: ValidationError, event_id: str | None) -> BadEvent:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return BadEvent("missing_required_parameter", f"Missing required parameter: '{path}'.", path, event_id)
    return BadEvent("invalid_type", f"Invalid '{path}': {first['msg']}.", path, event_id)
