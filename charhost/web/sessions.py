"""Session and Sessions: one connected client, and all of them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from aiohttp import web

from charhost.attempt import Swap
from charhost.character import Character, CharacterSet
from charhost.events import error_event, new_id
from charhost.metrics import Metrics
from charhost.report import SessionImpact
from charhost.text import display

log = logging.getLogger("charhost.sessions")

MOST_WAITING_FRAMES = 256

# RFC 6455, section 5.5: a control frame carries at most 125 bytes, two of which are the close code.
_MOST_REASON = 123

# Closing five thousand sockets takes the loop a few hundred milliseconds; in batches it serves others in between.
_BATCH = 50

_RECONNECTS_PER_SECOND = 200


@dataclass(frozen=True)
class Farewell:
    """The last thing a client is sent: perhaps an event, then the close frame. *why* is for metrics and logs."""

    code: int
    reason: str
    why: str
    frame: str | None = None

    @property
    def close_reason(self) -> bytes:
        """The reason as a close frame can carry it, cut between characters."""
        return self.reason.encode("utf-8", "replace")[:_MOST_REASON].decode("utf-8", "ignore").encode()


GOING_AWAY = Farewell(1001, "Server is shutting down", "shutdown")


class Session:
    """One connected client: a socket, the character it talks to, and a bounded queue of frames waiting to leave.

    `choices` is the current set as long as the client may still choose another character from it.
    """

    def __init__(self, request: web.Request, ws: web.WebSocketResponse, character: Character, generation: int) -> None:
        self.id = new_id("sess")
        self.ws = ws
        self.character = character
        self.generation = generation
        self.instructions = ""
        self.choices: CharacterSet | None = None
        self.ended_by: str | None = None
        self._request = request
        self._outbox: asyncio.Queue[str | Farewell] = asyncio.Queue(MOST_WAITING_FRAMES)

    def note(self, swap: Swap) -> None:
        """Go on beside a swap that does not end the session: with the equal new object, unless all is kept."""
        if self.choices is not None:
            self.choices = swap.after
        successor = swap.after.get(self.character.name)
        if swap.policy == "close_affected" and self.ended_by is None and successor is not None:
            self.character, self.generation = successor, swap.after.generation

    def send(self, frame: str | Farewell) -> None:
        """Queue *frame*; a client that lets the queue fill up is disconnected."""
        try:
            self._outbox.put_nowait(frame)
        except asyncio.QueueFull:
            self.abort("overflow")

    async def pump(self) -> None:
        """Write queued frames until the farewell; the only writer of the socket."""
        while not isinstance(frame := await self._outbox.get(), Farewell):
            await self.ws.send_str(frame)
        if frame.frame is not None:
            await self.ws.send_str(frame.frame)
        # Without drain=False aiohttp waits, beyond any time limit, for a client that has stopped reading.
        await self.ws.close(code=frame.code, message=frame.close_reason, drain=False)

    def close(self, farewell: Farewell, grace: float) -> None:
        """Queue the close behind what waits; a client that has not taken it after *grace* seconds is cut off."""
        if self.ended_by is None:
            self.ended_by = farewell.why
            asyncio.get_running_loop().call_later(grace, self.abort, farewell.why)
            self.send(farewell)

    def fail(self, grace: float) -> None:
        """End the session because of a fault in charhost; called where it is handled."""
        log.exception("a session with character %s failed unexpectedly", self.character.name)
        frame = error_event("server_error", "internal_error", "Unexpected error; the server's log has the details.")
        self.close(Farewell(1011, "Internal error", "fault", frame), grace)

    def abort(self, why: str) -> None:
        """Cut the connection now."""
        self.ended_by = self.ended_by or why
        if self._request.transport is not None:
            self._request.transport.abort()


class Sessions:
    """The open sessions, and how they end. Nobody else touches the set; it lives as long as the application."""

    def __init__(self, metrics: Metrics, grace: float) -> None:
        self._live: set[Session] = set()
        self._metrics = metrics
        self._grace = grace
        self._closers: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self.closing = False
        metrics.watch(metrics.sessions_active, lambda: len(self._live))

    def __len__(self) -> int:
        return len(self._live)

    @contextmanager
    def register(self, session: Session) -> Iterator[None]:
        """Count *session* among the open ones while the block runs."""
        self._live.add(session)
        log.info("session opened with character %s, generation %d", session.character.name, session.generation)
        if self.closing:  # shutdown began during the handshake
            session.close(GOING_AWAY, self._grace)
        try:
            yield
        finally:
            self._live.discard(session)
            why = session.ended_by or "client"
            self._metrics.sessions_closed.labels(why).inc()
            log.info("session closed with character %s: %s", session.character.name, why)
            if not self._live:
                self._empty.set()

    def by_generation(self) -> list[dict[str, int]]:
        """Count the sessions on each generation, newest first."""
        counts = Counter(session.generation for session in self._live)
        return [{"generation": g, "sessions": counts[g]} for g in sorted(counts, reverse=True)]

    def impact(self, swap: Swap) -> SessionImpact:
        """Count whom the policy of *swap* touches."""
        return SessionImpact(policy=swap.policy, total=len(self._live), affected=len(self._touched(swap)))

    def follow(self, swap: Swap) -> None:
        """Begin to tell and close those whom *swap* touches, and move the others along; returns at once."""
        touched = self._touched(swap)
        if touched:
            self._close_in_background(touched, _ReloadFarewell(swap, len(touched)))
        for session in self._live.difference(touched):
            session.note(swap)

    def _touched(self, swap: Swap) -> list[Session]:
        if swap.policy == "keep":
            return []
        untold = [session for session in self._live if session.ended_by is None]
        return [s for s in untold if swap.policy == "close" or swap.affects(s.character)]

    async def close(self) -> None:
        """Tell everybody that the server goes away, and wait until they are gone or cut off."""
        self.closing = True
        self._close_in_background(list(self._live), lambda session: GOING_AWAY)
        await asyncio.gather(*self._closers)
        if self._live:
            self._empty.clear()
            await self._empty.wait()

    def _close_in_background(self, sessions: list[Session], farewell: Callable[[Session], Farewell]) -> None:
        task = asyncio.create_task(self._close(sessions, farewell))
        self._closers.add(task)
        task.add_done_callback(self._closers.discard)

    async def _close(self, sessions: list[Session], farewell: Callable[[Session], Farewell]) -> None:
        waiting = iter(sessions)
        while batch := list(islice(waiting, _BATCH)):
            await asyncio.sleep(0)  # also before the first: whoever asked for this gets its answer first
            for session in batch:
                session.close(farewell(session), self._grace)


class _ReloadFarewell:
    """What the sessions that a swap touches are told: why, whether to come back, and when."""

    def __init__(self, swap: Swap, count: int) -> None:
        self._swap = swap
        self._reason = f"Characters reloaded from {display(swap.after.directory)}"
        # The return of many is spread over time; a single one may come back at once.
        self._longest = (count - 1) / _RECONNECTS_PER_SECOND * 1000

    def __call__(self, session: Session) -> Farewell:
        name = session.character.name
        if self._swap.policy != "close" and name not in self._swap.after:
            text = f"The character {name!r} is gone: {self._reason}."
            frame = error_event("fatal", "character_removed", text)
            return Farewell(4004, "character_removed", "character_removed", frame)
        wait = round(random.uniform(0, self._longest))
        text = f"{self._reason}. Please reconnect."
        frame = error_event("fatal", "characters_reloaded", text, retry_after_ms=wait)
        return Farewell(1012, self._reason, "reload", frame)
