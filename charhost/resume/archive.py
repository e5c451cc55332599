"""Saving sessions, so that they outlive the process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from charhost.logs.fault_log import FaultLog
from charhost.metrics import Metrics
from charhost.resume.saved_session import SavedSession

log = logging.getLogger("charhost.conversation")
Result = TypeVar("Result")

# Seconds that a response waits until it is saved; the client receives it all the same.
SAVE_DEADLINE = 5.0
# Seconds until a failed save is tried again.
RETRY = 1.0
# Describing more sessions than these at once would block the event loop.
AT_A_TIME = 100


class Archive(Protocol):
    """Where sessions are saved; a method that fails costs their return after a restart, and nothing else."""

    async def save(self, conversations: Sequence[SavedSession], forgotten: Sequence[str]) -> None:
        """Save the *conversations* as they are now, and drop the *forgotten* ones."""

    async def sessions(self, most: int) -> list[str]:
        """Return the ids of the *most* sessions saved last, and drop all others."""

    async def find(self, session: str) -> SavedSession | None: ...

    async def release(self, sessions: Collection[str]) -> None:
        """Let go of the copies of saved sessions in memory."""


class SessionWriter:
    """The writer of a server without a state file: saves nothing."""

    is_saving = False
    # Whether other processes save their sessions in the same place, and may resume those of this one.
    is_shared = False

    def note(self, session: str, describe: Callable[[], SavedSession]) -> None:
        """Have a session saved soon, as *describe* returns it then."""

    def forget(self, session: str) -> None:
        """Have a session dropped soon: it is over."""

    def release(self, session: str) -> bool:
        """Let go of the copy of a saved session in memory; return whether it is saved as it is now."""
        return False

    async def settled(self, session: str) -> None:
        """Wait until the changes so far are saved, or have failed; at most `SAVE_DEADLINE` seconds.

        Raise `TakenOver` if another process has resumed the session.
        """

    async def earlier(self, most: int) -> list[str]:
        """Return the sessions that an earlier process left, the last one first, and drop those beyond *most*."""
        return []

    async def find(self, session: str) -> SavedSession | None:
        """Return a session that an earlier process saved."""
        return None

    async def claim(self, session: str, owners: Collection[str], kept: SavedSession | None) -> SavedSession | None:
        """Take the session over, if it is of one of the *owners*; *kept* is the copy of this process.

        Raise `SessionUnavailable` if that cannot be found out.
        """
        return kept

    def abandon(self, session: str) -> bool:
        """Return whether another process has resumed the session, and leave it to that one."""
        return False

    async def close(self) -> None:
        """Save the remaining changes."""


class ArchiveWriter(SessionWriter):
    """Write-behind buffer: changes that arrive during a save form the next save, so there is only one at a time."""

    is_saving = True

    def __init__(self, archive: Archive, metrics: Metrics) -> None:
        self._archive = archive
        self._errors = metrics.conversation_errors
        self._faults = FaultLog(log)
        self._changed: dict[str, Callable[[], SavedSession]] = {}
        self._saving: dict[str, Callable[[], SavedSession]] = {}
        self._forgotten: set[str] = set()
        self._released: set[str] = set()
        self._saved = asyncio.Event()
        self._has_news = False
        self._task: asyncio.Task[None] | None = None
        self._is_late = False
        self._retry: asyncio.TimerHandle | None = None

    def note(self, session: str, describe: Callable[[], SavedSession]) -> None:
        self._changed[session] = describe
        self._forgotten.discard(session)
        self._released.discard(session)
        self._wake()

    def forget(self, session: str) -> None:
        self._changed.pop(session, None)
        self._forgotten.add(session)
        self._wake()

    def release(self, session: str) -> bool:
        if session in self._changed or session in self._saving:
            return False
        self._released.add(session)
        self._wake()
        return True

    async def settled(self, session: str) -> None:
        if self._is_late or self._task is None or self._task.done():
            return
        saved = self._saved
        self._wake()
        try:
            async with asyncio.timeout(SAVE_DEADLINE):
                await saved.wait()
        except TimeoutError:
            self._is_late = True
            self._errors.inc()
            failure = "the state file has not responded for %g s: until it does, no response waits for it"
            self._faults.error(failure, SAVE_DEADLINE)

    async def earlier(self, most: int) -> list[str]:
        failure = "the conversations of the last run could not be read; their clients will be refused"
        return await self._read(self._archive.sessions(most), failure) or []

    async def find(self, session: str) -> SavedSession | None:
        failure = "the conversation of a client that came back could not be read; it is refused"
        return await self._read(self._archive.find(session), failure)

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._try_again(), SAVE_DEADLINE)
        except TimeoutError:
            failure = "the state file has not responded for %g s: the latest messages of conversations may be lost"
            log.error(failure, SAVE_DEADLINE)
        if self._retry is not None:
            self._retry.cancel()

    async def _read(self, reading: Awaitable[Result], failure: str) -> Result | None:
        try:
            async with asyncio.timeout(SAVE_DEADLINE):
                return await reading
        except Exception as e:
            self._errors.inc()
            self._faults.error(failure, cause=e)
            return None

    def _wake(self) -> asyncio.Task[None]:
        self._has_news = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_all())
        return self._task

    async def _write_all(self) -> None:
        while self._has_news:
            self._has_news = False
            saved, self._saved = self._saved, asyncio.Event()
            try:
                if self._retry is None:
                    await self._save()
            finally:
                self._is_late = False
                saved.set()

    async def _save(self) -> None:
        # Each session leaves it when it is saved.
        changed = self._saving = self._changed
        self._changed = {}
        forgotten, self._forgotten = self._forgotten, set()
        released, self._released = self._released, set()
        try:
            while changed or forgotten:
                some = dict(islice(changed.items(), AT_A_TIME))
                await self._archive.save(self._described(some), list(forgotten))
                for session in some:
                    del changed[session]
                forgotten.clear()
            if released:
                await self._archive.release(released)
        except Exception as e:
            self._changed = {s: d for s, d in changed.items() if s not in self._forgotten} | self._changed
            self._saving = {}
            self._forgotten |= forgotten - self._changed.keys()
            self._released |= released - self._changed.keys()
            self._try_again_later(e)

    def _described(self, changed: Mapping[str, Callable[[], SavedSession]]) -> list[SavedSession]:
        described = []
        for session, describe in changed.items():
            try:
                described.append(describe())
            except Exception:
                self._errors.inc()
                log.exception("the session %s could not be described; it will not outlive this process", session)
        return described

    def _try_again_later(self, failure: Exception) -> None:
        self._errors.inc()
        lost = "conversations could not be written down; they go on, but would not outlive this process"
        self._faults.error(lost, cause=failure)
        self._retry = asyncio.get_running_loop().call_later(RETRY, self._try_again)

    def _try_again(self) -> asyncio.Task[None]:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        return self._wake()
