"""The dialect of a client."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from charhost.web.protocol.client_events import Dialect
from charhost.web.realtime.client_dialect import dialect_by, dialect_of

KEY = "openai-insecure-api-key.x"


def by_handshake(query: str = "", **headers: str) -> Dialect | None:
    """Return the dialect by the handshake."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return dialect_of(make_mocked_request("GET", f"/v1/realtime?{query}", headers=named))


def test_a_bare_handshake_leaves_the_dialect_unknown() -> None:
    """A handshake of Unmute's clients, or without any mark, leaves the dialect unknown."""
    assert by_handshake() is None
    assert by_handshake("x=1", Sec_WebSocket_Protocol="realtime, openai-agents-sdk.0.20.0", OpenAI_Beta="x") is None


def test_the_marks_of_the_beta_clients() -> None:
    """A header of those that can send one, a subprotocol of pages; others may stand beside them."""
    assert by_handshake(OpenAI_Beta="assistants=v2, realtime=v1") == "beta"
    assert by_handshake(Sec_WebSocket_Protocol=f"realtime,{KEY},openai-beta.realtime-v1") == "beta"


def test_the_marks_of_the_ga_clients() -> None:
    """A model or a key: no client of unmute's sends either."""
    assert by_handshake("model=Ada") == "ga"
    assert by_handshake("model=") == "ga"
    assert by_handshake(Authorization="Bearer x") == "ga"
    assert by_handshake(Sec_WebSocket_Protocol=f"realtime, {KEY}") == "ga"


@pytest.mark.parametrize("dialect", ["ga", "beta", "unmute"])
def test_a_parameter_sets_the_dialect(dialect: Dialect) -> None:
    """`?dialect=` counts over model and key, and not over the mark of the beta clients."""
    assert by_handshake(f"dialect={dialect}&model=Ada", Authorization="Bearer x") == dialect
    assert by_handshake(f"dialect={dialect}", OpenAI_Beta="realtime=v1") == "beta"


def test_an_unknown_dialect_is_none() -> None:
    """A name that is no dialect is not believed."""
    assert (by_handshake("dialect=x"), by_handshake("dialect=x&model=Ada")) == (None, "ga")


@pytest.mark.parametrize(
    ("event", "dialect"),
    [
        ({"type": "session.update", "session": {"allow_recording": False}}, "unmute"),
        ({"type": "session.update", "session": {"instructions": {"type": "constant", "text": "x"}}}, "unmute"),
        ({"type": "session.update", "session": {"instructions": {}}}, "unmute"),
        ({"type": "session.characters.list"}, "unmute"),
        ({"type": "session.characters.reload", "directory": "/x"}, "unmute"),
        ({"type": "input_audio_buffer.append", "audio": "T2dnUwACAAAA"}, "unmute"),
        ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "beta"),
        ({"type": "input_audio_buffer.append", "audio": 5}, "beta"),
        ({"type": "session.update", "session": {"modalities": ["text"]}}, "beta"),
        ({"type": "session.update", "session": {"input_audio_format": "pcm16"}}, "beta"),
        ({"type": "session.update", "session": {"type": "realtime", "allow_recording": True}}, "ga"),
        ({"type": "session.update", "session": {"type": "realtime", "instructions": {}}}, "ga"),
        ({"type": "session.update", "session": {"instructions": "x"}}, "ga"),
        ({"type": "session.update", "session": {}}, "ga"),
        ({"type": "session.update", "session": None}, "ga"),
        ({"type": "session.update"}, "ga"),
        ({"type": "session.characters.other"}, "ga"),
        ({"type": "response.create"}, "ga"),
        ({"type": "nope", "audio": "T2dnUw"}, "ga"),
    ],
)
def test_the_first_event_decides(event: dict[str, Any], dialect: Dialect) -> None:
    """A first event of only one dialect decides the dialect; any other is GA."""
    assert dialect_by(event) == dialect
