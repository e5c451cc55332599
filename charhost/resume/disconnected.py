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

    async def claim(self, session_id: str, owner: str) -> Parked | None:
        """Remove and return the session of that id if it is its owner's; it suspends only to read the journal."""
        if session_id in self._earlier:
            parked = await self._journal.find(session_id)
            # If not, another connection has claimed it while this read the file, or its time has ended.
            if session_id in self._earlier:
                if parked is None or parked.owner != owner:
                    return None
                del self._earlier[session_id]
                return parked
        until, kept = self._parked.get(session_id, (0.0, None))
        if kept is None or kept.owner != owner or until <= asyncio.get_running_loop().time():
            return None
        self._remove(session_id)
        return kept

    def put(self, parked: Parked) -> None:
        """Keep *parked* and have it saved; beyond the limits the oldest ones are given up."""
        self._journal.note(parked.id, lambda: parked)
        self.give_back(parked)

    def give_back(self, parked: Parked) -> None:
        """Keep a claimed session that could not be resumed, as `put`, but without saving it again."""
        self._remove(parked.id)
        self._parked[parked.id] = asyncio.get_running_loop().time() + self._seconds, parked
        self._weight += parked.weight
        while len(self) > self._most and self._earlier:
            self._drop_earlier(next(iter(self._earlier)))
        while len(self._parked) > self._most or (self._weight > MOST_CHARACTERS and self._parked):
            self._drop_oldest()
        if self._sweep is None:
            self._sweep_later()

    def close(self) -> None:
        """Forget all but what the journal has."""
        self._parked.clear()
        self._earlier.clear()
        self._weight = 0
        for timer in (self._sweep, self._end_of_earlier):
            if timer is not None:
                timer.cancel()

    def _remove(self, session_id: str) -> None:
        _, known = self._parked.pop(session_id, (0.0, None))
        self._weight -= known.weight if known is not None else 0

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
