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


class Parking:
    """The parked conversations: at most so many, each for so many seconds. Lives as long as the application."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._parked: OrderedDict[str, tuple[float, Parked]] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._parked)

    def put(self, parked: Parked) -> None:
        """Keep *parked*; beyond the limit the oldest one is given up."""
        self._parked[parked.id] = asyncio.get_running_loop().time() + self._seconds, parked
        self._parked.move_to_end(parked.id)
        if len(self._parked) > self._most:
            self._parked.popitem(last=False)
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
        del self._parked[parked.id]

    def close(self) -> None:
        """Forget all."""
        self._parked.clear()
        if self._sweep is not None:
            self._sweep.cancel()

    def _sweep_later(self) -> None:
        first = next(iter(self._parked.values()), None)
        loop = asyncio.get_running_loop()
        self._sweep = None if first is None else loop.call_at(first[0], self._sweep_now)

    def _sweep_now(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._parked and next(iter(self._parked.values()))[0] <= now:
            self._parked.popitem(last=False)
        self._sweep_later()
