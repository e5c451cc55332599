"""The refusals of the audio endpoints."""

from __future__ import annotations

import pytest

from charhost.speech.failure import SpeechError, SpeechErrorType
from charhost.web.audio.errors import no_engine, problem_of


@pytest.mark.parametrize(
    ("kind", "status"), [("busy", 429), ("timeout", 504), ("unreachable", 503), ("refused", 502), ("malformed", 502)]
)
def test_failure_of_an_engine_has_its_status(kind: SpeechErrorType, status: int) -> None:
    """Each kind of failure is a status; the text of the engine is for the client."""
    problem = problem_of(SpeechError(kind, "It failed."), "speech_failed")
    assert (problem.status, problem.code, problem.detail) == (status, "speech_failed", "It failed.")


def test_missing_engine_names_its_option() -> None:
    """A server without an engine says how to start one."""
    assert "start it with --tts or --voice" in no_engine("--tts").detail
