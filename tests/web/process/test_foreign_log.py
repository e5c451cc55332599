"""The records of aiohttp's own loggers."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from charhost.web.process.foreign_log import LOGGERS, WithoutContent, filter_foreign_loggers
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """A clock that tests set."""
    return Clock()


@pytest.fixture
def logger(clock: Clock) -> Iterator[logging.Logger]:
    """A filtered logger."""
    logger, found = logging.getLogger("foreign"), WithoutContent(clock)
    logger.addFilter(found)
    yield logger
    logger.removeFilter(found)


def test_values_are_left_out(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """A record is its fixed text, without what a client sent."""
    logger.warning("%s: Client protocols %r don't overlap server-known ones %r", "1.2.3.4", ["secret"], ())
    assert [record.getMessage() for record in caplog.records] == [
        "…: Client protocols … don't overlap server-known ones …"
    ]


@pytest.mark.parametrize(("text", "found"), [("Error in 'secret'", ["Error in 'secret'"[:8]]), ("1.2.3.4 secret", [])])
def test_text_that_is_formatted_already(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, text: str, found: list[str]
) -> None:
    """Of a text without values the first words are kept, if there are any."""
    logger.error(text.replace("'secret'", '"secret"'))
    assert [record.getMessage() for record in caplog.records] == found


def test_exception_is_its_type_and_its_place(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """The text of an exception, which may quote a header, is left out; the frames show where it was raised."""
    try:
        raise ValueError("secret")
    except ValueError:
        logger.exception("Unhandled exception")
    assert "Unhandled exception (ValueError)" in caplog.text
    assert "test_foreign_log.py" in caplog.text
    assert "ValueError: secret" not in caplog.text


def test_one_record_a_minute_of_each_kind(
    logger: logging.Logger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """What a client can repeat does not fill the log."""
    for seconds in (0, 1, 59, 60):
        clock.now = seconds
        logger.error("Error handling request from %s", "1.2.3.4")
        logger.error("Another")
    assert len(caplog.records) == 4


def test_loggers_are_filtered_once() -> None:
    """Each application of a process has them filtered, by one filter for each."""
    filter_foreign_loggers()
    filter_foreign_loggers()
    counts = [sum(isinstance(f, WithoutContent) for f in logging.getLogger(name).filters) for name in LOGGERS]
    assert counts == [1] * len(LOGGERS)
