"""The budget of memory for everything that clients make the server hold."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from typing import Protocol, Self

from charhost.metrics import Metrics


class Reserve(Protocol):
    """Things that are kept for clients that may come back, the oldest of which can be given up."""

    kind: str

    @property
    def oldest(self) -> float | None:
        """The time since when the oldest one is kept, by the clock of the loop; None if there is none."""

    def give_up(self) -> None:
        """Drop the oldest one."""


class MemoryBudget:
    """Counts the bytes that are held for clients, and makes room within *size*. Lives as long as the application.

    When there is no room the oldest things of the reserves are given up, then more is refused. Only the words of a
    model go beyond the size.
    """

    def __init__(self, size: int = sys.maxsize, metrics: Metrics | None = None) -> None:
        self.size = size
        self._held: dict[str, int] = {}
        self._in_use = 0
        self._freed: deque[tuple[Holding, int]] = deque()
        self._metrics = metrics or Metrics()
        self._metrics.memory_budget_bytes.set(size)
        self._reserves: list[Reserve] = []

    @property
    def in_use(self) -> int:
        self._settle()
        return self._in_use

    @property
    def held(self) -> Mapping[str, int]:
        """The bytes in use by kind."""
        self._settle()
        return self._held

    def add_reserve(self, reserve: Reserve) -> None:
        self._reserves.append(reserve)

    def drop_reserve(self, reserve: Reserve) -> None:
        self._reserves.remove(reserve)

    def holding(self, kind: str) -> Holding:
        if kind not in self._held:
            self._held[kind] = 0
            self._metrics.memory_held_bytes.labels(kind).set_function(lambda: self.held[kind])
        return Holding(self, kind)

    def has_room(self, size: int) -> bool:
        """Return whether *size* bytes fit, after giving up as much as they need."""
        if not self._freed and self._in_use + size <= self.size:  # almost always
            return True
        while self.in_use + size > self.size:
            if size > self.size or not self._give_up():
                return False
        return True

    def refuse(self, kind: str) -> None:
        """Count a refusal."""
        self._metrics.memory_refused.labels(kind).inc()

    def change(self, kind: str, size: int) -> None:
        """Add *size* bytes, which may be negative, to those held."""
        self._in_use += size
        self._held[kind] += size

    def free(self, holding: Holding, size: int) -> None:
        """Give *size* bytes back before the next look at the budget; from any thread, and amid any other call."""
        self._freed.append((holding, size))

    def _settle(self) -> None:
        while self._freed:
            holding, size = self._freed.popleft()
            holding.resize(holding.size - size)

    def _give_up(self) -> bool:
        reserves = [(oldest, reserve) for reserve in self._reserves if (oldest := reserve.oldest) is not None]
        if not reserves:
            return False
        _, reserve = min(reserves, key=lambda found: found[0])
        reserve.give_up()
        self._metrics.memory_given_up.labels(reserve.kind).inc()
        return True


class Holding:
    """The bytes of one owner in a budget; as a context manager it ends with the block."""

    __slots__ = ("_budget", "kind", "size")

    def __init__(self, budget: MemoryBudget, kind: str) -> None:
        self._budget = budget
        self.kind = kind
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.resize(0)

    def has_room(self, size: int) -> bool:
        """Return whether *size* more bytes fit; if not, a refusal is counted."""
        if self._budget.has_room(size):
            return True
        self._budget.refuse(self.kind)
        return False

    def take(self, size: int) -> bool:
        """Add *size* bytes if they fit, and return whether they did."""
        if not self.has_room(size):
            return False
        self.size += size
        self._budget.change(self.kind, size)
        return True

    def resize(self, size: int) -> None:
        """Hold *size* bytes, whether they fit or not."""
        if size != self.size:
            change, self.size = size - self.size, size
            self._budget.change(self.kind, change)
            if change > 0:
                self._budget.has_room(0)

    def free(self, size: int) -> None:
        """Give *size* bytes back, as a finalizer does: it may run on any thread, and amid other work of this one."""
        self._budget.free(self, size)

    def could_ever_hold(self, size: int) -> bool:
        return size <= self._budget.size
