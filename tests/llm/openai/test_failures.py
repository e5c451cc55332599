"""The errors of a model's server."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic_core import to_json

from charhost.llm.openai.endpoint import Endpoint
from charhost.llm.openai.failures import of_fault, of_response, retry_after

ENDPOINT = Endpoint("http://10.0.0.7:8080/v1", "sk-0123456789abcdef")


def refusal(status: int, body: Any = b"") -> Any:
    """Return the error of such a response."""
    return of_response(status, {}, body if isinstance(body, bytes) else to_json(body), ENDPOINT, "big")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "refused") for status in (308, 400, 404, 413, 422)),
        *((status, "unauthorized") for status in (401, 403)),
        *((status, "server_error") for status in (500, 502, 503)),
        (429, "rate_limited"),
    ],
)
def test_kinds(status: int, kind: str) -> None:
    """Every status has its kind of error."""
    assert refusal(status).error_type == kind


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "too\n long"}},
        {"error": "too long"},
        {"message": "too long"},
        {"detail": [{"msg": "too long"}]},
    ],
)
def test_quotes_the_server(body: Any) -> None:
    """A refused request quotes the server's message, in each of its formats."""
    assert str(refusal(400, body)).endswith(": too long.")


def test_quote_is_short_and_scrubbed() -> None:
    """Of a long message only the beginning is quoted, and no address."""
    text = str(refusal(400, {"error": {"message": "http://10.0.0.7:8080/v1 " + "long " * 1000}}))
    assert len(text) < 400
    assert "10.0.0.7" not in text


@pytest.mark.parametrize(
    "fault", ["a" * 10_000_000, "a,* " * 1_000_000, ["a" * 9_000] * 1_000, {"x": "a" * 10_000_000}]
)
def test_long_error_is_cut_before_it_is_looked_through(fault: Any) -> None:
    """An error of ten megabytes costs no more than one of a few kilobytes."""
    started = time.monotonic()
    for _ in range(20):
        assert len(str(of_fault({"message": fault}, ENDPOINT))) < 400
    assert time.monotonic() - started < 30


def test_pages_are_not_quoted() -> None:
    """The page of a proxy is not quoted."""
    assert "html" not in str(refusal(502, b"<html>nginx</html>"))


def test_unauthorized_is_not_quoted() -> None:
    """A server's message about a key is not passed on: it often holds parts of the key."""
    assert "provided" not in str(refusal(401, {"error": {"message": "Incorrect API key provided: a**z"}}))


def test_unknown_model() -> None:
    """The error of an unknown model has its name."""
    assert "'big'" in str(refusal(404))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"code": 500, "message": "x"}, "server_error"),
        ({"type": "generate_error"}, "server_error"),
        ("out of memory", "server_error"),
        ({"code": 429}, "rate_limited"),
        ({"type": "rate_limit_error"}, "rate_limited"),
        ({"type": "exceed_context_size_error", "code": 400}, "refused"),
        ({"code": "invalid_api_key"}, "unauthorized"),
    ],
)
def test_faults(fault: Any, kind: str) -> None:
    """An error in the middle of a stream has a kind too."""
    assert of_fault(fault, ENDPOINT).error_type == kind


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7), ("0.5", 0.5), ("-3", 0), ("soon", None), ("nan", None), ("", None)]
)
def test_retry_after_seconds(value: str, seconds: float | None) -> None:
    """`Retry-After` may be a number."""
    assert retry_after({"Retry-After": value}) == seconds


def test_retry_after_date() -> None:
    """`Retry-After` may be a date."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < (retry_after({"Retry-After": date}) or 0) <= 60


def test_retry_after_date_is_by_the_clock_of_the_server() -> None:
    """A server that sends its own time, too, means the difference, whatever the time is here."""
    server, later = "Thu, 01 Jan 1970 00:00:10 GMT", "Thu, 01 Jan 1970 00:00:17 GMT"
    assert retry_after({"Date": server, "Retry-After": later}) == 7
