"""Sessions that have lost their client, until it resumes them."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from itertools import islice

from charhost.ids import is_id
from charhost.memory.budget import MemoryBudget
from charhost.resume.archive import AT_A_TIME, SessionWriter
from charhost.resume.saved_session import SavedSession


class DisconnectedSessions:
    """Keeps at most *most* sessions, each for so many *seconds*. Lives as long as the application.

    The *writer* saves them, too. Those that an earlier process left are the oldest, count from the start of this one,
    and are None here until a client resumes them.
    """

    kind = "disconnected"

    def __init__(self, most: int, seconds: float, writer: SessionWriter, budget: MemoryBudget | None = None) -> None:
        budget = budget or MemoryBudget()
        self._most = most
        self._seconds = seconds
        self._writer = writer
        self._memory = budget.holding(self.kind)
        budget.add_reserve(self)
        self._kept: OrderedDict[str, tuple[float, SavedSession | None]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._kept)

    async def recover(self) -> None:
        until = asyncio.get_running_loop().time() + self._seconds
        self._kept.update(
            (session_id, (until, None)) for session_id in reversed(await self._writer.earlier(self._most))
        )
        self._drop_expired()

    async def claim(self, session_id: str, owners: Collection[str]) -> SavedSession | None:
        """Remove and return the session of that id if it is of one of the *owners*.

        It suspends only to read a saved one; raises `SessionUnavailable` if a shared one cannot be read.
        """
        if self._writer.is_shared:
            return await self._claim_shared(session_id, owners)
        until, session = self._kept.get(session_id, (0.0, None))
        if until and session is None:
            found = await self._writer.find(session_id)
            # Meanwhile it may have expired, or another connection may have claimed it and given it back.
            until, session = self._kept.get(session_id, (0.0, None))
            session = session or found
        if session is None or session.owner not in owners or until <= asyncio.get_running_loop().time():
            return None
        self._remove(session_id)
        return session

    async def _claim_shared(self, session_id: str, owners: Collection[str]) -> SavedSession | None:
        _, kept = self._kept.get(session_id, (0.0, None))
        if not is_id(session_id, "sess") or (kept is not None and kept.owner not in owners):
            return None
        # Without it the copy of this process is not used either: another one may have added to the session since.
        session = await self._writer.claim(session_id, owners, kept)
        self._remove(session_id)
        return session

    def discard(self, session_id: str) -> None:
        """Drop a session from memory only: another process has resumed it."""
        self._remove(session_id)

    def put(self, session: SavedSession) -> None:
        """Keep *session* and have it saved; beyond the limits the oldest ones are dropped."""
        self._writer.note(session.id, lambda: session)
        self.give_back(session)

    def give_back(self, session: SavedSession) -> None:
        """Keep a claimed session that could not be resumed, as `put`, but without saving it again."""
        self._remove(session.id)
        self._kept[session.id] = asyncio.get_running_loop().time() + self._seconds, session
        self._memory.resize(self._memory.size + session.weight)
        while len(self._kept) > self._most:
            self._drop(next(iter(self._kept)))
        if self._timer is None:
            self._drop_expired()

    @property
    def oldest(self) -> float | None:
        """Since when the oldest session is kept; those that are only in the state file take no memory."""
        return next((until - self._seconds for until, kept in self._kept.values() if kept is not None), None)

    def give_up(self) -> None:
        """Drop the oldest session that is saved, and can be resumed all the same, from memory; else the oldest one."""
        in_memory = (session for _, session in self._kept.values() if session is not None)
        oldest = list(islice(in_memory, AT_A_TIME))
        saved = next((session for session in oldest if self._writer.release(session.id)), None)
        if saved is None:
            self._drop(oldest[0].id)
            return
        self._kept[saved.id] = self._kept[saved.id][0], None
        self._memory.resize(self._memory.size - saved.weight)

    def close(self) -> None:
        self._kept.clear()
        self._memory.resize(0)
        if self._timer is not None:
            self._timer.cancel()

    def _remove(self, session_id: str) -> None:
        _, session = self._kept.pop(session_id, (0.0, None))
        self._memory.resize(self._memory.size - (session.weight if session is not None else 0))

    def _drop(self, session_id: str) -> None:
        self._remove(session_id)
        self._writer.forget(session_id)

    def _drop_expired(self) -> None:
        """Drop the sessions whose time is over, and come again when that of the next is."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._kept and self._timer is None:
            session_id, (until, _) = next(iter(self._kept.items()))
            if until <= loop.time():
                self._drop(session_id)
            else:
                self._timer = loop.call_at(until, self._drop_expired)
