"""Change events of a directory, from watchfiles on daemon threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from watchfiles import Change, watch

from charhost.loading.directory_walk import Identity, identity

# Milliseconds. An event arrives one to two steps after the change; a step costs a wake-up while nothing happens.
_STEP = 10
_STEP_ABOVE = 50
_LONGEST_BURST = 1_600
_TIMEOUT = 1_000


@dataclass(frozen=True)
class Place:
    """Where a directory really is; an event source that was armed at another place reports nothing of this one."""

    real: str
    identity: Identity
    data: Identity | None

    @classmethod
    def of(cls, directory: Path) -> Place:
        """Return the place of *directory*; raises `OSError`."""
        data = None
        with suppress(OSError):
            # Kubernetes switches the link `..data` to replace all files of a volume at once.
            data = identity(directory / "..data")
        return cls(os.path.realpath(directory), identity(directory), data)


class EventSource:
    """Reports changes below a directory, and of its entry in the parent folder, until closed.

    *changed* and *failed* are called on other threads; *failed* receives the error, and whether events had been
    reported before. *is_data* returns whether a file counts, by its path below, that does not end in `.py`. An event is
    only a hint that something may have changed, and some changes have none: those behind links that lead out of the
    directory, of remote file systems, after an overflow of the kernel's queue.
    """

    def __init__(
        self,
        directory: Path,
        changed: Callable[[], object],
        failed: Callable[[Exception, bool], object],
        is_data: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self._closed = Event()
        self._directory = str(directory)
        self._changed = changed
        self._failed = failed
        self._is_data = is_data
        # Threads of its own: neither arming a large directory nor waiting may block the event loop.
        for target in (self._watch_below, self._watch_above):
            Thread(target=target, name="charhost-event-source", daemon=True).start()

    def close(self) -> None:
        """Stop; the threads end soon after."""
        self._closed.set()

    def _watch_below(self) -> None:
        stop = _Stop(self._closed, self._changed)  # a change while it was being armed has no event
        try:
            # To ignore permission errors is also to ignore that no more watches are left: so only where it must be.
            try:
                self._watch(self._directory, self._matters, stop, _STEP)
            except PermissionError:
                self._watch(self._directory, self._matters, stop, _STEP, ignore_permission_denied=True)
        except Exception as e:
            # Among others: the directory is gone, no more watches are left, the name of a file is not UTF-8.
            if not self._closed.is_set():
                self._failed(e, stop.is_armed)

    def _watch_above(self) -> None:
        # Where the parent folder cannot be watched, the watcher's regular look at the directory's place has to do.
        with suppress(Exception):
            self._watch(
                os.path.dirname(self._directory),
                lambda _, path: path == self._directory,
                self._closed,
                _STEP_ABOVE,
                recursive=False,
                ignore_permission_denied=True,
            )

    def _watch(
        self, path: str, matters: Callable[[Change, str], bool], stop: _Stop | Event, step: int, **options: bool
    ) -> None:
        changes = watch(
            path,
            watch_filter=matters,
            debounce=_LONGEST_BURST,
            step=step,
            stop_event=stop,
            rust_timeout=_TIMEOUT,
            debug=False,
            raise_interrupt=False,
            force_polling=False,
            **options,
        )
        for _ in changes:
            self._changed()

    def _matters(self, _: Change, path: str) -> bool:
        """Return False for files that cannot be a character: bytecode, a repository's own files, and other kinds."""
        below = path.removeprefix(self._directory) + "/"
        if "/__pycache__/" in below or "/.git/" in below:
            return False
        return path.endswith(".py") or self._is_data(below[1:-1]) or not os.path.isfile(path)


@dataclass
class _Stop:
    """The stop event of one `watch`, which is armed once it looks at the event for the first time."""

    closed: Event
    armed: Callable[[], object]
    is_armed: bool = False

    def is_set(self) -> bool:
        """Return whether to stop; called by watchfiles at every step."""
        if not self.is_armed:
            self.is_armed = True
            self.armed()
        return self.closed.is_set()
