"""Snapshots while the clock of this machine is set, or differs from that of the disk."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from charhost.loading import snapshot as module
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot

HOUR = 3_600_000_000_000


@dataclass
class Clock:
    """A clock that is ahead of the real one, by *ahead* nanoseconds."""

    ahead: int = 0

    def time_ns(self) -> int:
        return time.time_ns() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that snapshots are taken by."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def snap(directory: Path, earlier: Snapshot | None = None) -> Snapshot:
    return take_snapshot(directory, Limits(100, 1 << 20, 1 << 20), earlier)


def test_a_later_snapshot_is_later_although_the_clock_was_set_back(directory: Path, clock: Clock) -> None:
    """The order of snapshots decides which of two is outdated, so it is not that of the clock."""
    first = snap(directory)
    clock.ahead = -HOUR
    second = snap(directory, first)
    third = snap(directory, second)
    assert first.taken < second.taken < third.taken


def test_a_clock_that_was_set_back_hides_no_write_in_progress(directory: Path, clock: Clock) -> None:
    """How long the files have been still is by the clock of now, not by that of the snapshot before."""
    clock.ahead = HOUR
    ahead = snap(directory)
    clock.ahead = 0
    os.utime(directory / "ada.py")
    assert ahead.still_for > 3000
    assert abs(snap(directory, ahead).still_for) < 60


@pytest.mark.parametrize("ahead", [-HOUR, HOUR, -1_700_000_000_000_000_000], ids=["behind", "ahead", "1970"])
def test_an_edit_is_found_by_any_clock(directory: Path, clock: Clock, ahead: int) -> None:
    """What was read is what lies there, however wrong the clock is."""
    clock.ahead = ahead
    before = snap(directory)
    (directory / "ada.py").write_text("CHARACTER_NAME = 'Eve'")
    assert snap(directory, before).files["ada.py"].data == b"CHARACTER_NAME = 'Eve'"
