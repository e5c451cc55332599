"""Reloads when the content of the directory changes.

Events are only hints. A hint or the timer leads to a snapshot of the whole directory, once its files are no longer
being written; the snapshot is compared with the last one that was tried, and a difference causes a reload.
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from charhost.errors import (
    DirectoryError,
    LoadTimeout,
    ReloadFailed,
    ReloadRejected,
    RevisionMismatch,
    RolloutInProgress,
    Stopping,
)
from charhost.loading.directory_walk import unusable
from charhost.loading.snapshot import Snapshot
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.report import ReloadReport
from charhost.settings import Settings
from charhost.text import timestamp
from charhost.threads.worker_pool import WorkerPool
from charhost.watch.event_source import EventSource, Place
from charhost.watch.health import WatcherHealth, WatcherStatus
from charhost.watch.mounts import mounted_below, mounted_files, sends_events

log = logging.getLogger("charhost.watch")

# Seconds after which files are loaded that are still being written.
LONGEST_QUIET = 5.0

# Seconds between two looks at the directory's place and, when polling, at its files.
_TICK = 1.0
_POLL = 0.5
_POLL_INTERVAL = 10.0

# Seconds that the event of a change may arrive after the timer has found it.
_LATE_EVENT = 0.2

_SHORTEST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0

_REQUEST = ReloadRequest(scope="changed", on_error="keep")


class Watcher:
    """Keeps one set equal to its directory, also after a reload of another one."""

    def __init__(self, manager: CharacterManager, settings: Settings, metrics: Metrics) -> None:
        self._manager = manager
        self._settings = settings
        self._metrics = metrics
        self._health = WatcherHealth(metrics, settings.watch_poll, manager.name)
        self._pool = WorkerPool()
        self._hint = asyncio.Event()
        self._tried: Snapshot | None = None
        self._next_complete = time.monotonic() + settings.watch_interval
        self._failure: _EventsEnded | None = None

    @property
    def status(self) -> WatcherStatus:
        return self._health.status.model_copy()

    def resume(self) -> None:
        """Try the files on the disk again, although they were refused or rolled back."""
        self._tried = None
        self._health.hold(False)
        self._hint.set()

    async def run(self) -> None:
        """Watch until cancelled; a crash is logged and counted, and watching begins again."""
        self._take_current()
        self._manager.listen(self._note)
        try:
            await self._run()
        finally:
            self._manager.ignore(self._note)

    async def _run(self) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            started = time.monotonic()
            try:
                await self._watch(Path(self._manager.home))
                continue
            except Stopping:
                return
            except _EventsEnded as e:
                self._health.restart(str(e))
            except (OSError, DirectoryError, LoadTimeout) as e:
                self._health.down(str(e))
            except Exception as e:
                log.exception("the watcher of the character directory crashed; restarting it")
                self._health.restart(f"it crashed ({type(e).__name__})")
            pause = _SHORTEST_PAUSE if time.monotonic() - started > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _watch(self, directory: Path) -> None:
        """Watch until the current directory, or its place, changes."""
        place = await self._place(directory)
        with self._notified(directory, place):
            self._hint.set()
            while Path(self._manager.home) == directory:
                hinted = await self._is_hinted(_POLL if self._health.is_polling else _TICK)
                self._hint.clear()
                if await self._place(directory) != place:  # first: events end, too, where the directory has gone
                    return
                if self._failure is not None:
                    raise self._failure
                await self._reconcile(hinted)
                self._health.up(self._manager.home)

    async def _place(self, directory: Path) -> Place:
        with _named_alike(directory):
            return await self._pool.run(lambda: Place.of(directory), LONGEST_QUIET, str(directory), interrupt=False)

    @contextmanager
    def _notified(self, directory: Path, place: Place) -> Iterator[None]:
        self._failure = None
        if not self._health.is_polling and not all(map(sends_events, [place.real, *mounted_below(place.real)])):
            self._health.poll("its file system sends no events")
        for file in mounted_files(place.real):
            log.warning("%s is a mount of its own: a new version of that character file may never arrive", file)
        if self._health.is_polling:
            yield
            return
        call = asyncio.get_running_loop().call_soon_threadsafe
        # Held open, so that its inode is not reused by another directory, which would be taken for this one.
        with _named_alike(directory):
            held = os.open(place.real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        source = EventSource(
            directory, lambda: call(self._changed), lambda *failure: call(self._failed, *failure), self._is_data
        )
        try:
            yield
        finally:
            source.close()
            os.close(held)

    def _is_data(self, path: str) -> bool:
        return self._tried is not None and path in self._tried.data

    def _changed(self) -> None:
        self._health.status.last_event = timestamp()
        self._hint.set()

    def _failed(self, error: Exception, armed: bool) -> None:
        if not armed and not isinstance(error, FileNotFoundError):
            self._health.poll(f"events are not available ({error})")
        self._failure = _EventsEnded(f"events ended ({error})")
        self._hint.set()

    async def _is_hinted(self, seconds: float) -> bool:
        """Return whether there is a hint, waiting for it for at most *seconds*."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hint.wait()
        return self._hint.is_set()

    async def _reconcile(self, hinted: bool) -> None:
        """Compare the disk with the last snapshot that was tried, and reload if they differ."""
        complete = time.monotonic() >= self._next_complete
        if not (hinted or complete or self._health.is_polling):
            return
        serving = self._manager.current.etag
        snapshot = await self._still(complete)
        self._health.status.last_comparison = timestamp()
        if complete:
            interval = self._settings.watch_interval
            if self._health.is_polling:
                interval = min(interval, _POLL_INTERVAL)
            self._next_complete = time.monotonic() + interval
        result = "unchanged"
        if self._is_known(snapshot):
            self._tried = snapshot  # it may know more data files
        else:
            # The event of a change that the timer found first may only be late.
            drifted = not (hinted or self._health.is_polling or await self._is_hinted(_LATE_EVENT))
            result = await self._reload(snapshot, serving)
            if drifted:
                result = "drift"
                self._health.drift()
        self._metrics.reconciled(self._manager.name, result)

    async def _still(self, complete: bool) -> Snapshot:
        """Read the directory once it is no longer being written; unless *complete*, rely on the files' stats."""
        deadline = time.monotonic() + LONGEST_QUIET
        snapshot = await self._manager.look(trust_stats=not complete)
        while time.monotonic() < deadline and not self._is_known(snapshot):
            # The times of a disk whose clock is ahead of ours by more than that are of no use.
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
            # Only while the same set is current: else the files from before a rollback would undo it.
            report = await self._manager.reload_characters(_REQUEST, snapshot, trigger="watch", etags=(serving,))
        except (RevisionMismatch, RolloutInProgress):
            self._tried = self._manager.applied
            self._hint.set()
            return "outdated"
        except ReloadFailed as e:  # not by these files: the next complete comparison tries them again
            self._tried = None
            return e.report.outcome
        except ReloadRejected as e:
            self._health.hold(True)
            return e.report.outcome
        self._health.hold(False)
        return report.outcome

    def _note(self, report: ReloadReport) -> None:
        """Take note of a reload that another caller applied, perhaps of these files, perhaps of another directory."""
        if report.trigger == "watch" or report.dry_run or report.outcome not in ("applied", "unchanged"):
            return
        if report.trigger == "fleet":  # the disk is as it was, and perhaps was tried already
            self._health.hold(True)
        else:
            self._take_current()

    def _take_current(self) -> None:
        self._tried = self._manager.applied
        self._health.hold(self._manager.is_restored)
        self._hint.set()


@contextmanager
def _named_alike(directory: Path) -> Iterator[None]:
    """Raise the error of a reload for a directory that cannot be used, whichever step finds that out."""
    try:
        yield
    except OSError as e:
        raise unusable(str(directory), e) from e


class _EventsEnded(Exception):
    """The event source failed."""
