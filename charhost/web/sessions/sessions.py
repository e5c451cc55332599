"""All open sessions, and how a reload and a shutdown close them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from charhost.character.character import Character
from charhost.logs.line_limit import limited
from charhost.memory.collector import collect_young
from charhost.metrics import Metrics
from charhost.reload.swap import Swap
from charhost.report import DEFAULT_SET, Frozen, SessionImpact
from charhost.settings import Settings
from charhost.web.connections.pace import Pace
from charhost.web.connections.ticks import Call, Ticks
from charhost.web.sessions.close_message import GOING_AWAY, CloseMessage, ReloadCloseMessage, taken_over

if TYPE_CHECKING:
    from charhost.web.sessions.session import Session

log = logging.getLogger("charhost.sessions")

_MOST_LINES = 100  # a minute, of sessions that open, and of those that close

# Silence is waited for in parts of so many seconds: a pause of the event loop, after which messages of the client wait
# to be read, counts as one part only.
_TICK_SECONDS = 0.1

# Closing five thousand sockets takes the loop a few hundred milliseconds; batches let it serve others in between.
_BATCH = 16
# Letting go of a session takes longer.
_RELEASED = 6
# Seconds for which the processor is left to the clients, that all are told, before the work of letting go of many.
_REST = 0.1


class GenerationCount(Frozen):
    """How many sessions are on one generation."""

    generation: int
    sessions: int


class Sessions:
    """Owns the set of open sessions, and the pace of their `ending`; lives as long as the application."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._live: dict[str, Session] = {}
        self._admitted = 0
        self._settings = settings
        self._metrics = metrics
        # In ms: the most after which a close message asks a client to reconnect.
        self.longest_wait = round((settings.max_sessions - 1) / settings.max_reconnects_per_second * 1000)
        self._closers: set[asyncio.Task[None]] = set()
        self.closing = False
        self.ending = Pace()
        self._ticks = Ticks(_TICK_SECONDS)
        metrics.sessions_active.set_function(lambda: len(self._live))

    def __len__(self) -> int:
        return len(self._live)

    @contextmanager
    def admitted(self) -> Iterator[bool]:
        """Hold a place while the block runs, from before the handshake on; yields whether there is one."""
        if self._admitted >= self._settings.max_sessions:
            yield False
            return
        self._admitted += 1
        try:
            yield True
        finally:
            self._admitted -= 1

    @contextmanager
    def register(self, session: Session) -> Iterator[None]:
        self._live[session.id] = session
        text = "session opened with character %s, generation %d"
        log.info(text, session.name, session.generation, extra=limited(most=_MOST_LINES))
        if self.closing:  # shutdown began during the handshake
            session.closing.close(GOING_AWAY, self._settings.close_grace)
        try:
            yield
        finally:
            del self._live[session.id]
            session.gone.set()
            self._record_end(session)

    def find(self, session_id: str, owners: Collection[str]) -> Session | None:
        session = self._live.get(session_id)
        return session if session is not None and session.owner in owners else None

    def lose(self, session_id: str) -> None:
        """Close a session that another node of the fleet has resumed."""
        self._metrics.sessions_taken_over.inc()
        if (session := self._live.get(session_id)) is not None:
            session.closing.close(taken_over(), self._settings.close_grace)

    @property
    def are_closing(self) -> bool:
        """Whether some are being sent their close messages."""
        return bool(self._closers)

    def silence(self, seconds: float, call: Callable[[], None]) -> Call:
        """Have *call* run if a client that has just connected says nothing for so long."""
        return self._ticks.after(max(1, round(seconds / _TICK_SECONDS)), call)

    def note_all(self) -> None:
        """Have all sessions saved that are not: old copies are renewed."""
        for session in self._live.values():
            session.note()

    def by_generation(self, name: str = DEFAULT_SET) -> list[GenerationCount]:
        """Count the sessions on each generation of the set called *name*, newest first."""
        counts = Counter(session.generation for session in self._of(name))
        return [GenerationCount(generation=g, sessions=counts[g]) for g in sorted(counts, reverse=True)]

    def impact(self, swap: Swap) -> SessionImpact:
        return SessionImpact(policy=swap.policy, total=len(self._of(swap.set)), affected=len(self._touched(swap)))

    def follow(self, swap: Swap) -> None:
        """Start closing the sessions that *swap* ends, and apply it to the others; returns at once."""
        ended = self._touched(swap)
        if swap.policy == "follow":
            ended = [session for session in ended if session.character.name not in swap.after]
        if ended:
            message = ReloadCloseMessage(swap, len(ended), self._settings.max_reconnects_per_second)
            task = asyncio.create_task(self._close(ended, message, swap.drain))
            self._closers.add(task)
            task.add_done_callback(self._closers.discard)
        for session in set(self._of(swap.set)).difference(ended):
            if session.go_on(swap):
                self._metrics.sessions_followed.inc()

    async def close(self) -> None:
        """Close all sessions, and wait until they have ended or were cut off."""
        self.closing = True
        await self._close(list(self._live.values()), lambda _: GOING_AWAY, drain=0)
        await asyncio.gather(*self._closers)
        while self._live:
            await next(iter(self._live.values())).gone.wait()

    def _of(self, name: str) -> list[Session]:
        return [session for session in self._live.values() if session.set == name]

    def _touched(self, swap: Swap) -> list[Session]:
        if swap.policy == "keep":
            return []
        staying = [session for session in self._of(swap.set) if not session.closing.is_ending]
        return [s for s in staying if swap.policy == "close" or swap.affects(s.character)]

    async def _close(self, sessions: list[Session], message: Callable[[Character], CloseMessage], drain: float) -> None:
        try:
            async for session in _in_batches(sessions):
                session.closing.hold()
                session.closing.leave(message(session.character), self._settings.close_grace, drain)
            if len(sessions) > _BATCH:
                await asyncio.sleep(_REST)
            while sessions:
                await asyncio.sleep(0)
                for session in sessions[:_RELEASED]:
                    session.closing.release()
                del sessions[:_RELEASED]  # so that not all of them are freed at once in the end
                collect_young()
        finally:
            for session in sessions:
                session.closing.release()

    def _record_end(self, session: Session) -> None:
        why = session.closing.reason or "client"
        self._metrics.sessions_closed.labels(why).inc()
        if session.closing.end_of_turn == "cut":
            self._metrics.sessions_cut.inc()
        elif session.closing.end_of_turn == "drained":
            self._metrics.sessions_drained.inc()
        log.info("session closed with character %s: %s", session.name, why, extra=limited(most=_MOST_LINES))


async def _in_batches(sessions: list[Session]) -> AsyncIterator[Session]:
    """Yield *sessions*, with a turn of the event loop before every few, also before the first."""
    for index, session in enumerate(sessions):
        if index % _BATCH == 0:
            await asyncio.sleep(0)
        yield session
