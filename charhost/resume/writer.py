"""Journal: writes conversations behind, so that they outlive the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Protocol

from charhost.metrics import Metrics
from charhost.resume.saved_session import Parked

log = logging.getLogger("charhost.conversation")

# How many seconds an answer waits for its place on the disk; the client gets it all the same.
SAVE_DEADLINE = 5.0
# Seconds until a write that failed is tried again.
RETRY = 1.0
# How many conversations are written in one go.
AT_A_TIME = 100


class Archive(Protocol):
    """Where conversations are kept; a method that fails costs their return after a restart, and nothing else."""

    async def save(self, conversations: Sequence[Parked], forgotten: Sequence[str]) -> None:
        """Keep how these conversations stand, and none any more of those that are over."""

    async def sessions(self, most: int) -> list[str]:
        """Answer the ids of the conversations that were kept last, and drop all others."""

    async def find(self, session: str) -> Parked | None:
        """Return one conversation."""


class Journal:
    """Write-behind buffer: changes that arrive during a save form the next save, so there is only one writer.

    Without an archive it does nothing.
    """

    def __init__(self, archive: Archive | None, metrics: Metrics) -> None:
        self._archive = archive
        self._errors = metrics.conversation_errors
        self._changed: dict[str, Callable[[], Parked]] = {}
        self._forgotten: set[str] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._has_news = False
        self._writer: asyncio.Task[None] | None = None
        self._is_late = False
        self._is_failing = False
        self._retry: asyncio.TimerHandle | None = None

    @property
    def is_kept(self) -> bool:
        """Whether there is an archive."""
        return self._archive is not None

    def note(self, session: str, describe: Callable[[], Parked]) -> None:
        """Have a conversation written down soon, as *describe* finds it then."""
        if self._archive is not None:
            self._changed[session] = describe
            self._forgotten.discard(session)
            self._wake(self._archive)

    def forget(self, session: str) -> None:
        """Have a conversation dropped soon: it is over."""
        if self._archive is not None:
            self._changed.pop(session, None)
            self._forgotten.add(session)
            self._wake(self._archive)

    async def settled(self) -> None:
        """Wait until the changes so far are written, or have failed; at most `SAVE_DEADLINE` seconds."""
        if self._archive is None or self._is_late or self._writer is None:
            return
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._wake(self._archive)
        try:
            async with asyncio.timeout(SAVE_DEADLINE):
                await done
        except TimeoutError:
            self._is_late = True
            self._errors.inc()
            log.error(
                "the state file has not answered for %g s: answers do not wait for it until it does", SAVE_DEADLINE
            )

    async def earlier(self, most: int) -> list[str]:
        """Answer which sessions an earlier process has left, the last one first, and drop those beyond *most*."""
        if self._archive is None:
            return []
        try:
            async with asyncio.timeout(SAVE_DEADLINE):
                return await self._archive.sessions(most)
        except Exception:
            self._errors.inc()
            log.exception("the conversations of the last run could not be read; their clients will be refused")
            return []

    async def find(self, session: str) -> Parked | None:
        """Return a session that an earlier process has written."""
        if self._archive is None:
            return None
        try:
            async with asyncio.timeout(SAVE_DEADLINE):
                return await self._archive.find(session)
        except Exception:
            self._errors.inc()
            log.exception("the conversation of a client that came back could not be read; it is refused")
            return None

    async def close(self) -> None:
        """Write the remaining changes."""
        if self._archive is None:
            return
        self._resume_writing()
        try:
            await asyncio.wait_for(self._wake(self._archive), SAVE_DEADLINE)
        except TimeoutError:
            log.error(
                "the state file has not answered for %g s: the last words of conversations are lost", SAVE_DEADLINE
            )
        self._resume_writing()

    def _wake(self, archive: Archive) -> asyncio.Task[None]:
        self._has_news = True
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all(archive))
        return self._writer

    async def _write_all(self, archive: Archive) -> None:
        try:
            while self._has_news:
                self._has_news = False
                await self._write(archive)
        finally:
            self._writer = None

    async def _write(self, archive: Archive) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            if self._retry is None:
                await self._save(archive)
        finally:
            self._is_late = False
            for done in waiting:
                if not done.done():
                    done.set_result(None)

    async def _save(self, archive: Archive) -> None:
        """Write the changes, some conversations at a time: encoding many would block the event loop."""
        changed, self._changed = self._changed, {}
        forgotten, self._forgotten = self._forgotten, set()
        try:
            while changed or forgotten:
                some = dict(islice(changed.items(), AT_A_TIME))
                await archive.save(self._described(some), list(forgotten))
                for session in some:
                    del changed[session]
                forgotten.clear()
                self._is_failing = False
        except Exception:
            self._changed = {s: d for s, d in changed.items() if s not in self._forgotten} | self._changed
            self._forgotten |= forgotten - self._changed.keys()
            self._suspend_writing(archive)

    def _described(self, changed: Mapping[str, Callable[[], Parked]]) -> list[Parked]:
        """Describe them all; one that cannot be must not keep the others from being written."""
        described = []
        for session, describe in changed.items():
            try:
                described.append(describe())
            except Exception:
                self._errors.inc()
                log.exception("the session %s could not be described; it will not outlive this process", session)
        return described

    def _suspend_writing(self, archive: Archive) -> None:
        self._errors.inc()
        if not self._is_failing:  # a full disk is told of once, not with every answer
            self._is_failing = True
            log.exception("conversations could not be written down; they go on, but would not outlive this process")
        self._retry = asyncio.get_running_loop().call_later(RETRY, self._try_again, archive)

    def _try_again(self, archive: Archive) -> None:
        self._resume_writing()
        self._wake(archive)

    def _resume_writing(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
