"""Parking: conversations whose client has lost its socket, until it comes back for them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charhost.events import Dialect
from charhost.items import Item


@dataclass(frozen=True, slots=True)
class Parked:
    """One conversation without its character, which is known by name only: nothing of a build is kept alive.

    `owner` is the digest of the key that the client showed, `dialect` and `config` are what its front door needs.
    """

    id: str
    character: str
    owner: str
    dialect: Dialect | None
    config: Mapping[str, Any] | None = field(repr=False)
    conversation_id: str
    items: tuple[Item, ...] = field(repr=False)
    weight: int = 0


# All conversations together; one may have sixteen million.
MOST_CHARACTERS = 256 << 20


class Parking:
    """The parked conversations: at most so many, each for so many seconds. Lives as long as the application."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._weight = 0
        self._parked: OrderedDict[str, tuple[float, Parked]] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._parked)

    def put(self, parked: Parked) -> None:
        """Keep *parked*; beyond the limits the oldest ones are given up."""
        self.remove(parked)
        self._parked[parked.id] = asyncio.get_running_loop().time() + self._seconds, parked
        self._weight += parked.weight
        while len(self._parked) > self._most or (self._weight > MOST_CHARACTERS and self._parked):
            self._drop_oldest()
        if self._sweep is None:
            self._sweep_later()

    def find(self, session_id: str, owner: str) -> Parked | None:
        """Look a conversation up for whom it belongs to."""
        until, parked = self._parked.get(session_id, (0.0, None))
        if parked is None or parked.owner != owner or until <= asyncio.get_running_loop().time():
            return None
        return parked

    def remove(self, parked: Parked) -> None:
        """Let a conversation go: its client has come back."""
        _, known = self._parked.pop(parked.id, (0.0, None))
        self._weight -= known.weight if known is not None else 0

    def close(self) -> None:
        """Forget all."""
        self._parked.clear()
        self._weight = 0
        if self._sweep is not None:
            self._sweep.cancel()

    def _sweep_later(self) -> None:
        first = next(iter(self._parked.values()), None)
        loop = asyncio.get_running_loop()
        self._sweep = None if first is None else loop.call_at(first[0], self._sweep_now)

    def _sweep_now(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._parked and next(iter(self._parked.values()))[0] <= now:
            self._drop_oldest()
        self._sweep_later()

    def _drop_oldest(self) -> None:
        _, (_, parked) = self._parked.popitem(last=False)
        self._weight -= parked.weight
