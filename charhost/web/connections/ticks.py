"""Calls that come after some time for thousands of clients."""

import asyncio
from collections import deque
from collections.abc import Callable

# Calls in one turn of the event loop: each takes up to a millisecond.
_MOST = 12


class Call:
    """A call that is due later, unless it is cancelled."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self._call = None

    def run(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


class Ticks:
    """Counts ticks of so many *seconds* with one timer, and runs calls after some. Lives as long as the application.

    A pause of the event loop counts as one tick.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._now = 0
        self._later: dict[int, list[Call]] = {}
        self._due: deque[Call] = deque()

    def after(self, ticks: int, call: Callable[[], None]) -> Call:
        """Have *call* run after that many ticks."""
        if not self._later:
            self._schedule()
        self._later.setdefault(self._now + ticks, []).append(later := Call(call))
        return later

    def _schedule(self) -> None:
        asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def _tick(self) -> None:
        self._now += 1
        is_idle = not self._due
        self._due.extend(self._later.pop(self._now, ()))
        if self._later:
            self._schedule()
        if is_idle:
            self._run_due()

    def _run_due(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(min(_MOST, len(self._due))):
            loop.call_soon(self._due.popleft().run)  # each by itself: one that fails keeps none of the others
        if self._due:
            loop.call_soon(self._run_due)
