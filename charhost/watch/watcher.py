"""The watcher: reloads by itself when the directory's content changes.

Events are only hints. A hint or the timer leads to a snapshot of the whole directory, once its files stand still; the
snapshot is compared with the last one that was tried, and a difference becomes a reload like any other.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from charhost.character.worker_pool import Crew
from charhost.errors import DirectoryError, LoadTimeout, ReloadFailed, ReloadRejected, RevisionMismatch, Stopping
from charhost.loading.snapshot import Snapshot
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.report import ReloadReport
from charhost.settings import Settings
from charhost.text import timestamp
from charhost.watch.mounts import mounted_files, sends_events
from charhost.watch.notifier import Ears

log = logging.getLogger("charhost.watch")

# Files that never stand still are loaded all the same after so many seconds.
LONGEST_QUIET = 5.0

# Between two looks at the directory's place; and at its files, where nothing is announced.
_TICK = 1.0
_POLL = 0.5
_POLL_INTERVAL = 10.0

# How much later than the timer an event of the same change may come.
_LATE_EVENT = 0.2

_SHORTEST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0

# The same complaint is not logged again for so long: a file name that ends events does so again and again.
_QUIET_LOG = 60.0

# So often may the timer find what no event had announced, before events are no longer relied on.
_MOST_DRIFTS = 3


@dataclass(frozen=True)
class Place:
    """Where a directory really is; a notifier that was armed elsewhere hears nothing of this one."""

    real: str
    identity: tuple[int, int]
    data: tuple[int, int] | None

    @classmethod
    def of(cls, directory: Path) -> Place:
        """Look *directory* up; raises `OSError`."""
        data = None
        with suppress(OSError):
            # Kubernetes switches the link `..data` to put all files of a volume in place at once.
            data = _identity(directory / "..data")
        return cls(os.path.realpath(directory), _identity(directory), data)


class WatcherStatus(BaseModel):
    """How the watcher fares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    up: bool = Field(description="Whether changes of the directory are noticed.")
    mode: Literal["events", "poll"] = Field(description="Whether the file system tells, or the server looks.")
    last_event: str | None
    last_comparison: str | None
    held: bool = Field(description="Whether what lies on the disk was refused, and has not changed since.")
    restarts: int


class Watcher:
    """Keeps the set equal to the active directory, wherever a reload leads it. Lives as long as the application."""

    def __init__(self, manager: CharacterManager, settings: Settings, metrics: Metrics) -> None:
        self._manager = manager
        self._settings = settings
        self._metrics = metrics
        self._crew = Crew()
        self._hint = asyncio.Event()
        self._tried = manager.applied
        self._polls = settings.watch_poll
        self._drifts = 0
        self._restarts = 0
        self._is_up = False
        self._is_held = False
        self._complaint, self._complained = "", 0.0
        self._recovered = False
        self._last_event: str | None = None
        self._last_comparison: str | None = None
        self._next_complete = time.monotonic() + settings.watch_interval
        self._deaf: _Deaf | None = None
        manager.listen(self._note)

    @property
    def status(self) -> WatcherStatus:
        """What `GET /v1/characters/status` shows."""
        return WatcherStatus(
            up=self._is_up,
            mode="poll" if self._polls else "events",
            last_event=self._last_event,
            last_comparison=self._last_comparison,
            held=self._is_held,
            restarts=self._restarts,
        )

    def resume(self) -> None:
        """Take what lies on the disk for new, although it was refused, or was rolled back."""
        self._tried = None
        self._hold(False)
        self._hint.set()

    async def run(self) -> None:
        """Watch until cancelled; a crash is logged and counted, and it begins again."""
        pause = _SHORTEST_PAUSE
        while True:
            started = time.monotonic()
            try:
                await self._watch(Path(self._manager.current.directory))
                continue
            except Stopping:
                return
            except _Deaf as e:
                self._restart(str(e))
            except (OSError, DirectoryError, LoadTimeout) as e:
                self._complain(str(e))
            except Exception as e:
                log.exception("the watcher of the character directory crashed and begins again")
                self._restart(f"it crashed ({type(e).__name__})")
            pause = _SHORTEST_PAUSE if time.monotonic() - started > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _watch(self, directory: Path) -> None:
        """Watch until the directory, or its place, is another one."""
        place = await self._place(directory)
        with self._listening(directory, place):
            self._hint.set()
            while Path(self._manager.current.directory) == directory:
                hinted = await self._wait()
                if await self._place(directory) != place:
                    return
                await self._reconcile(hinted)
                self._set_up()

    async def _place(self, directory: Path) -> Place:
        place: Place = await self._crew.run(lambda: Place.of(directory), LONGEST_QUIET, interrupt=False)
        return place

    @contextmanager
    def _listening(self, directory: Path, place: Place) -> Iterator[None]:
        self._deaf = None
        if not self._polls and not sends_events(place.real):
            self._poll_from_now_on("its file system announces no changes")
        for file in mounted_files(place.real):
            log.warning("%s is mounted by itself: a new version of that character file may never arrive", file)
        if self._polls:
            yield
            return
        call = asyncio.get_running_loop().call_soon_threadsafe
        # Held open, its inode cannot be given to another directory, which would then be taken for this one.
        held = os.open(place.real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        ears = Ears(directory, lambda: call(self._hear), lambda error, armed: call(self._break, error, armed))
        try:
            yield
        finally:
            ears.close()
            os.close(held)

    def _hear(self) -> None:
        self._last_event = timestamp()
        self._hint.set()

    def _break(self, error: Exception, armed: bool) -> None:
        if not armed and not isinstance(error, FileNotFoundError):
            self._poll_from_now_on(f"it cannot be listened to ({error})")
        self._deaf = _Deaf(f"events ended ({error})")
        self._hint.set()

    async def _wait(self) -> bool:
        """Wait for a hint, or until it is time to look without one; says whether there was one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL if self._polls else _TICK):
                await self._hint.wait()
        hinted = self._hint.is_set()
        self._hint.clear()
        if self._deaf is not None:
            raise self._deaf
        return hinted

    async def _reconcile(self, hinted: bool) -> None:
        """Compare the disk with what was last tried, and reload if they differ."""
        complete = time.monotonic() >= self._next_complete
        if not (hinted or complete or self._polls):
            return
        serving = self._manager.current.etag
        snapshot = await self._still(complete)
        self._last_comparison = timestamp()
        if complete:
            interval = self._settings.watch_interval
            self._next_complete = time.monotonic() + (min(interval, _POLL_INTERVAL) if self._polls else interval)
        if self._is_known(snapshot):
            self._count("unchanged")
        else:
            drifted = not hinted and not self._polls and not await self._hears_of_it()
            outcome = await self._reload(snapshot, serving)
            self._count("drift" if drifted else outcome)
            self._note_drift(drifted)

    async def _still(self, complete: bool) -> Snapshot:
        """Read the directory once it stands still; what is not complete relies on the files' stats."""
        deadline = time.monotonic() + LONGEST_QUIET
        snapshot = await self._manager.look(trust_stats=not complete)
        while time.monotonic() < deadline and not self._is_known(snapshot):
            # A disk whose clock is ahead of ours by more than that tells nothing.
            unrest = self._settings.watch_quiet - abs(snapshot.still_for)
            if unrest <= 0:
                break
            await asyncio.sleep(unrest)
            snapshot = await self._manager.look()
        return snapshot

    def _is_known(self, snapshot: Snapshot) -> bool:
        return self._tried is not None and snapshot.equals(self._tried)

    async def _reload(self, snapshot: Snapshot, serving: str) -> str:
        self._tried = snapshot
        try:
            # Only while the same set serves: a rollback in between would be undone by what lay there before it.
            report = await self._manager.reload_characters(
                trigger="watch", snapshot=snapshot, etags=(serving,), scope="changed", on_error="keep"
            )
        except RevisionMismatch:
            self._tried = self._manager.applied
            self._hint.set()
            return "outdated"
        except ReloadFailed as e:  # not the fault of these bytes: the next complete comparison tries them again
            self._tried = None
            return e.report.outcome
        except ReloadRejected as e:
            self._hold(True)
            return e.report.outcome
        self._hold(False)
        return report.outcome

    def _hold(self, is_held: bool) -> None:
        self._is_held = is_held
        self._metrics.watcher_held.set(is_held)

    async def _hears_of_it(self) -> bool:
        """Say whether the event of a change that the timer found first is only late."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LATE_EVENT):
                await self._hint.wait()
        return self._hint.is_set()

    def _note_drift(self, drifted: bool) -> None:
        self._drifts += drifted
        if self._drifts >= _MOST_DRIFTS and not self._polls:
            self._poll_from_now_on(f"{self._drifts} changes were not announced")

    def _note(self, report: ReloadReport) -> None:
        """Learn of every reload: one from elsewhere may have tried what lies on the disk, or gone to another one."""
        if report.trigger != "watch" and report.outcome in ("applied", "unchanged") and not report.dry_run:
            self._tried = self._manager.applied
            self._hold(self._manager.is_restored)
            self._hint.set()

    def _poll_from_now_on(self, why: str) -> None:
        log.warning("the watcher looks for changes of the character directory by itself: %s", why)
        self._polls = True

    def _restart(self, why: str) -> None:
        self._restarts += 1
        self._metrics.watcher_restarts.inc()
        self._complain(why)

    def _complain(self, why: str) -> None:
        self._is_up = False
        self._metrics.watcher_up.set(0)
        if why != self._complaint or time.monotonic() - self._complained > _QUIET_LOG:
            log.warning("changes of the character directory are not noticed for now: %s", why)
            self._complaint, self._complained = why, time.monotonic()
            self._recovered = False

    def _set_up(self) -> None:
        self._is_up = True
        self._metrics.watcher_up.set(1)
        if not self._recovered:
            log.info("watching the character directory %s", self._manager.current.directory)
            self._recovered = True

    def _count(self, result: str) -> None:
        self._metrics.watcher_reconciles.labels(result).inc()


class _Deaf(Exception):
    """The notifier ended, or could not begin."""


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
