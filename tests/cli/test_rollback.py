"""`charhost rollback`: its requests."""

from __future__ import annotations

from tests.cli.helpers import body_of
from tests.cli.recording_server import RecordingServer


async def test_rollback_without_a_generation(server: RecordingServer) -> None:
    """A rollback without a generation sends none."""
    assert await body_of(server, "rollback") == {}


async def test_rollback_names_a_generation(server: RecordingServer) -> None:
    """Every field of a rollback has an option."""
    arguments = ["7", "--sessions", "keep", "--drain", "3", "--reason", "bad words"]
    body = {"generation": 7, "sessions": "keep", "drain_seconds": 3, "reason": "bad words"}
    assert await body_of(server, "rollback", *arguments) == body
