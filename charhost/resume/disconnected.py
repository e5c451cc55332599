"""Parking: conversations whose client has lost its socket, until it comes back for them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from charhost.resume.saved_session import Parked
from charhost.resume.writer import Journal

# All conversations together; one may have sixteen million.
MOST_CHARACTERS = 256 << 20


class Parking:
    """The parked conversations: at most so many, each for so many seconds. Lives as long as the application.

    What is parked is in the *journal*, too. Those that an earlier process has left there wait as long as if they had
    been lost when this one began, and are read when their client comes.
    """

    def __init__(self, most: int, seconds: float, journal: Journal) -> None:
        self._most = most
        self._seconds = seconds
        self._journal = journal
        self._earlier: dict[str, None] = {}
        self._end_of_earlier: asyncio.TimerHandle | None = None
        self._weight = 0
        self._parked: OrderedDict[str, tuple[float, Parked]] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._parked) + len(self._earlier)

    async def recover(self) -> None:
        """Find out what an earlier process has left; for the start."""
        self._earlier = dict.fromkeys(reversed(await self._journal.earlier(self._most)))
        if self._earlier:
            self._end_of_earlier = asyncio.get_running_loop().call_later(self._seconds, self._drop_all_earlier)

    async def recall(self, session_id: str, owner: str) -> None:
        """Park a conversation that an earlier process has left, if it is one and belongs to that owner."""
        if session_id not in self._earlier:
            return
        parked = await self._journal.find(session_id)
        if parked is not None and parked.owner == owner and session_id in self._earlier:
            del self._earlier[session_id]
            self.put(parked)

    def put(self, parked: Parked) -> None:
        """Keep *parked*; beyond the limits the oldest ones are given up."""
        self.remove(parked)
        self._parked[parked.id] = asyncio.get_running_loop().time() + self._seconds, parked
        self._weight += parked.weight
        self._journal.note(parked.id, lambda: parked)
        while len(self) > self._most and self._earlier:
            self._drop_earlier(next(iter(self._earlier)))
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
        """Forget all but what the journal has."""
        self._parked.clear()
        self._earlier.clear()
        self._weight = 0
        for timer in (self._sweep, self._end_of_earlier):
            if timer is not None:
                timer.cancel()

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
        self._journal.forget(parked.id)

    def _drop_earlier(self, session_id: str) -> None:
        del self._earlier[session_id]
        self._journal.forget(session_id)

    def _drop_all_earlier(self) -> None:
        for session_id in list(self._earlier):
            self._drop_earlier(session_id)
