"""A transcript in the formats of OpenAI's audio API."""

from __future__ import annotations

import pytest

from charhost.web.audio.transcript import Cue, document, subtitles, text_of
from charhost.web.audio.upload import TextFormat

CUES = [Cue(0.0, 1.5, "Hello."), Cue(1.5, 2.0, ""), Cue(3600.25, 3661.0, "Bye.")]


def test_text_is_that_of_all_parts() -> None:
    """Parts without words leave no space."""
    assert text_of(CUES) == "Hello. Bye."


def test_verbose_document_has_its_segments() -> None:
    """The segments are part of `verbose_json` only."""
    assert document(CUES, 2.0, "en", verbose=False) == {
        "text": "Hello. Bye.",
        "usage": {"type": "duration", "seconds": 2.0},
    }
    verbose = document(CUES, 2.0, None, verbose=True)
    assert [(one["id"], one["start"], one["text"]) for one in verbose["segments"]][2] == (2, 3600.25, "Bye.")
    assert (verbose["language"], verbose["duration"]) == ("", 2.0)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (
            "srt",
            "1\n00:00:00,000 --> 00:00:01,500\nHello.\n\n2\n01:00:00,250 --> 01:01:01,000\nBye.\n\n",
        ),
        (
            "vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello.\n\n01:00:00.250 --> 01:01:01.000\nBye.\n\n",
        ),
    ],
)
def test_subtitles_number_what_was_said(kind: TextFormat, text: str) -> None:
    """Each format has its own marks of time; silence has no subtitle."""
    assert subtitles(CUES, kind) == text
