"""The interface of language models."""

from __future__ import annotations

from charhost.llm.model import ModelError, ModelRequest, Usage


def test_usage_adds_up() -> None:
    """The tokens of several rounds are added kind by kind."""
    assert Usage(1, 2, 3) + Usage(10, 20, 30) == Usage(11, 22, 33)


def test_equal_requests_may_share_their_forms() -> None:
    """The encoded forms of a request are no part of it."""
    assert ModelRequest([], forms={}) == ModelRequest([])


def test_error_has_its_type_and_its_pause() -> None:
    """The text of an error is for clients; its type and the pause that the server asked for are apart."""
    error = ModelError("busy", "Try again later.", 7.0)
    assert (str(error), error.error_type, error.retry_after) == ("Try again later.", "busy", 7.0)
