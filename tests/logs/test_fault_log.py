"""The log of faults that last."""

from __future__ import annotations

import logging

import pytest

from charhost.errors import StateError
from charhost.logs.fault_log import FaultLog
from charhost.logs.line_limit import INTERVAL
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def faults(clock: Clock) -> FaultLog:
    """Return the log of a part of charhost, with that clock."""
    return FaultLog(logging.getLogger("charhost.test"), clock)


def test_a_fault_that_lasts_is_logged_once_a_minute(
    faults: FaultLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ten minutes that occurs twice a second is ten lines, each with its latest details and a count."""
    for half_second in range(1200):
        clock.now = half_second / 2
        faults.error("the reload %d was not kept", half_second, cause=OSError(28, "No space left on device"))
    assert len(caplog.records) == 10
    assert caplog.messages[:2] == [
        "the reload 0 was not kept: [Errno 28] No space left on device",
        f"the reload {INTERVAL * 2:g} was not kept: [Errno 28] No space left on device"
        " (119 more of this kind were left out before)",
    ]


def test_another_fault_is_logged_at_once(faults: FaultLog, caplog: pytest.LogCaptureFixture) -> None:
    """Two faults that take turns do not hide one another, and do not fill the log."""
    for _ in range(100):
        faults.error("the disk is full")
        faults.error("the disk is slow")
    assert caplog.messages == ["the disk is full", "the disk is slow"]


@pytest.mark.parametrize("cause", [OSError(5, "Input/output error"), TimeoutError("slow"), StateError("disk is full")])
def test_a_fault_of_the_machine_is_one_line(
    faults: FaultLog, caplog: pytest.LogCaptureFixture, cause: Exception
) -> None:
    """A traceback would not help with a full disk."""
    faults.error("all of %s is lost", "it", cause=cause)
    assert [(record.getMessage(), record.exc_info) for record in caplog.records] == [
        (f"all of it is lost: {cause}", None)
    ]


def test_a_bug_has_its_traceback(faults: FaultLog, caplog: pytest.LogCaptureFixture) -> None:
    """An error that no machine causes is shown as a whole."""
    try:
        raise KeyError("ada")
    except KeyError as e:
        faults.error("the reload was not kept", cause=e)
    assert "Traceback" in caplog.text
    assert "KeyError: 'ada'" in caplog.text


def test_each_bug_is_logged(faults: FaultLog, caplog: pytest.LogCaptureFixture) -> None:
    """A bug that lasts hides no other one of the same work."""
    for error in [KeyError("a")] * 50 + [ValueError("b")] * 50:
        faults.error("the watcher failed", cause=error)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError, ValueError]
