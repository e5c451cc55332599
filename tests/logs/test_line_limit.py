"""The limit of lines of one kind in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from charhost.cli.logs import Formatter
from charhost.logs.line_limit import INTERVAL, LimitedRecords, LineLimit, limited
from tests.clock import Clock


class Shown(logging.Handler):
    """Keeps the lines that a handler of the server would write, without their beginning."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.addFilter(LimitedRecords(clock))
        self.setFormatter(Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).partition("charhost.test: ")[2])


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def shown(clock: Clock) -> Iterator[Shown]:
    """Return what the log shows of the logger `charhost.test`."""
    logger, handler = logging.getLogger("charhost.test"), Shown(clock)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def fail(kind: str = "", times: int = 1) -> None:
    """Log the failure of a response as often."""
    for number in range(times):
        logging.getLogger("charhost.test").warning("response %d failed", number, extra=limited(kind, 3))


def test_lines_beyond_the_limit_are_counted_in_the_next_one(shown: Shown, clock: Clock) -> None:
    """The first lines of a minute are written; the first of the next minute has the number of the others."""
    fail(times=1_003)
    assert shown.lines == ["response 0 failed", "response 1 failed", "response 2 failed"]
    clock.now = INTERVAL
    fail(times=2)
    assert shown.lines[3:] == [
        "response 0 failed (1,000 more of this kind were left out before)",
        "response 1 failed",
    ]


def test_each_kind_has_its_own_limit(shown: Shown) -> None:
    """A kind that fills its limit hides neither another one nor another text."""
    fail("busy", 10)
    fail("unreachable", 1)
    logging.getLogger("charhost.test").warning("a tool failed", extra=limited())
    assert len(shown.lines) == 5
    assert shown.lines[-1] == "a tool failed"


def test_each_fault_is_a_kind_of_its_own(shown: Shown) -> None:
    """A fault that fills the limit of its line hides neither another exception nor the same one from elsewhere."""
    logger = logging.getLogger("charhost.test")
    no_numbers: dict[str, None] = {}

    def here() -> None:
        raise ValueError("first")

    def there() -> None:
        raise ValueError("second")

    for work in [here] * 50 + [there] * 50 + [lambda: no_numbers["third"]] * 50:
        try:
            work()
        except (ValueError, KeyError) as e:
            logger.error("a turn failed", exc_info=ExceptionGroup("tasks", [e]), extra=limited(most=2))
    assert [words for line in shown.lines for words in ("first", "second", "third") if words in line] == [
        *["first"] * 2,
        *["second"] * 2,
        *["third"] * 2,
    ]


def test_other_lines_have_no_limit(shown: Shown) -> None:
    """What clients cannot cause is written each time."""
    for _ in range(100):
        logging.getLogger("charhost.test").warning("a file failed")
    assert len(shown.lines) == 100


def test_the_note_is_in_the_first_line_of_a_traceback(shown: Shown, clock: Clock) -> None:
    """The number stands in the line of the record, not at the end of its traceback."""
    logger, error = logging.getLogger("charhost.test"), KeyError("ada")
    for _ in range(2):
        logger.error("a bug", exc_info=error, extra=limited(most=1))
    clock.now = INTERVAL
    logger.error("a bug", exc_info=error, extra=limited(most=1))
    assert shown.lines[1].splitlines() == ["a bug (1 more of this kind were left out before)", "KeyError: 'ada'"]


def test_a_limit_counts_nothing_twice(clock: Clock) -> None:
    """A line that reports a number ends the count."""
    limit = LineLimit(clock)
    assert [limit.admit("a"), limit.admit("a"), limit.admit("a")] == [0, None, None]
    clock.now = INTERVAL
    assert [limit.admit("a"), limit.admit("a")] == [2, None]
    clock.now = 2 * INTERVAL
    assert limit.admit("a") == 1


def test_kinds_are_forgotten_when_there_are_very_many(clock: Clock) -> None:
    """A limit does not take memory for each line that has ever been limited; the latest kinds are known."""
    limit = LineLimit(clock)
    for number in range(5_000):
        limit.admit(f"kind {number}")
    assert len(limit._kinds) == 1_000
    assert limit.admit("kind 4999") is None
