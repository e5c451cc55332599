"""How often somebody may fail."""

from __future__ import annotations

import pytest

from charhost.web.security import rate_limit as throttle
from charhost.web.security.rate_limit import Throttle


class Clock:
    """Stands for the time module."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that a test moves."""
    clock = Clock()
    monkeypatch.setattr(throttle, "time", clock)
    return clock


def test_some_failures_at_once_are_free(clock: Clock) -> None:
    """After the burst the answer is how long to wait."""
    limited = Throttle(burst=3, interval=6)
    assert [limited.fail("1.2.3.4") for _ in range(5)] == [0, 0, 0, 6, 6]


def test_each_interval_forgives_one(clock: Clock) -> None:
    """Who waits as told may fail once more, and after the whole time as often as at first."""
    limited = Throttle(burst=2, interval=6)
    waits = []
    for pause in (0, 0, 0, 4, 2, 0, 12, 0, 0):
        clock.now += pause
        waits.append(limited.fail("1.2.3.4"))
    assert waits == [0, 0, 6, 2, 0, 6, 0, 0, 6]


def test_one_too_many_makes_nobody_wait_longer(clock: Clock) -> None:
    """A client that goes on trying is not kept out for ever."""
    limited = Throttle(burst=1, interval=6)
    limited.fail("1.2.3.4")
    assert {limited.fail("1.2.3.4") for _ in range(100)} == {6}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("1.2.3.4", "1.2.3.5", False),
        ("1.2.3.4", "::ffff:1.2.3.4", True),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.5", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        (None, "", True),
        ("somewhere", "elsewhere", False),
    ],
)
def test_each_client_has_its_own_count(clock: Clock, first: str | None, second: str | None, same: bool) -> None:
    """An IPv6 network of 64 bits is one client, and an IPv4 address is one in any clothes."""
    limited = Throttle(burst=1, interval=6)
    limited.fail(first)
    assert (limited.fail(second) > 0) == same


def test_memory_has_a_bound(clock: Clock) -> None:
    """Of more addresses than that, the one that failed the longest ago is forgotten."""
    limited = Throttle(burst=1, interval=6, most=3)
    for address in ("1.0.0.1", "1.0.0.2", "1.0.0.3", "1.0.0.1", "1.0.0.4"):
        limited.fail(address)
    assert len(limited) == 3
    assert [limited.fail(address) > 0 for address in ("1.0.0.1", "1.0.0.2")] == [True, False]
