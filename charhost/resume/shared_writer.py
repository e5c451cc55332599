"""Saving sessions where several processes find them."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Protocol

from charhost.errors import SessionUnavailable, TakenOver
from charhost.logs.fault_log import FaultLog
from charhost.metrics import Metrics
from charhost.resume.archive import RETRY, SAVE_DEADLINE, SessionWriter
from charhost.resume.saved_session import SavedSession

log = logging.getLogger("charhost.conversation")

AT_A_TIME = 64


class SharedArchive(Protocol):
    """Where several processes save sessions, each of which belongs to the process that has claimed it last."""

    async def save(self, saved: SavedSession) -> None:
        """Save a session as it is now, unless it is lost."""

    async def forget(self, session: str) -> None:
        """Drop a session, unless it is lost."""

    async def claim(self, session: str, owners: Collection[str], kept: SavedSession | None) -> SavedSession | None:
        """Take a session over, if it is of one of the *owners*; *kept* is the copy of this process."""

    def release(self, session: str) -> None:
        """Let go of the copy of a saved session in memory."""

    def is_lost(self, session: str) -> bool:
        """Return whether another process has taken the session over."""

    def abandon(self, session: str) -> None:
        """Forget a session, and leave it to other nodes."""


class SharedWriter(SessionWriter):
    """Saves each session for itself; a response waits until its own one is saved, also over failures."""

    is_saving = True
    is_shared = True

    def __init__(self, archive: SharedArchive, metrics: Metrics) -> None:
        self._archive = archive
        self._errors = metrics.conversation_errors
        self._seconds = metrics.conversation_write
        self._faults = FaultLog(log)
        # None: it is to be dropped.
        self._unsaved: dict[str, Callable[[], SavedSession] | None] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._at_once = asyncio.Semaphore(AT_A_TIME)
        # Those of which a response was sent without being saved, since the engine last took anything.
        self._late: set[str] = set()

    def note(self, session: str, describe: Callable[[], SavedSession]) -> None:
        self._write_soon(session, describe)

    def forget(self, session: str) -> None:
        self._write_soon(session, None)

    def release(self, session: str) -> bool:
        if session in self._tasks:
            return False
        self._archive.release(session)
        return True

    async def settled(self, session: str) -> None:
        task = self._tasks.get(session)
        if task is not None and session not in self._late:
            await asyncio.wait([task], timeout=SAVE_DEADLINE)
            if not task.done():
                self._late.add(session)
                self._errors.inc()
                failure = "the engine of the fleet has not taken a response within %g s: its conversation waits no more"
                self._faults.error(failure, SAVE_DEADLINE)
        if self._archive.is_lost(session):
            raise TakenOver(f"the session {session} goes on at another node")

    async def claim(self, session: str, owners: Collection[str], kept: SavedSession | None) -> SavedSession | None:
        try:
            async with asyncio.timeout(SAVE_DEADLINE):
                if (task := self._tasks.get(session)) is not None:
                    await asyncio.wait([task])
                return await self._archive.claim(session, owners, kept)
        except Exception as e:
            self._errors.inc()
            self._faults.error("the conversation of a client that came back could not be read", cause=e)
            raise SessionUnavailable(f"the session {session} cannot be read now") from e

    def abandon(self, session: str) -> bool:
        if not self._archive.is_lost(session):
            return False
        self._unsaved.pop(session, None)
        self._archive.abandon(session)
        return True

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        _, late = await asyncio.wait(tasks, timeout=SAVE_DEADLINE) if tasks else ((), ())
        if late:
            log.error("the latest messages of %d conversations could not be saved, and may be lost", len(late))
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _write_soon(self, session: str, describe: Callable[[], SavedSession] | None) -> None:
        self._unsaved[session] = describe
        if session not in self._tasks:
            task = self._tasks[session] = asyncio.create_task(self._write_all(session))
            task.add_done_callback(lambda _: self._tasks.pop(session))

    async def _write_all(self, session: str) -> None:
        while session in self._unsaved:
            describe = self._unsaved.pop(session)
            try:
                await self._write(session, describe)
                self._late.clear()
            except Exception as e:
                self._unsaved.setdefault(session, describe)
                self._errors.inc()
                self._faults.error("a conversation could not be saved; it goes on, but at this node only", cause=e)
                await asyncio.sleep(RETRY)

    async def _write(self, session: str, describe: Callable[[], SavedSession] | None) -> None:
        async with self._at_once:
            with self._seconds.time():
                await (self._archive.forget(session) if describe is None else self._archive.save(describe()))
