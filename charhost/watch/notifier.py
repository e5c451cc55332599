"""Ears: watchfiles' notifiers on daemon threads, so that neither arming nor waiting holds up the event loop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from watchfiles._rust_notify import RustNotify

# Milliseconds. An event arrives one to two steps after the change; a step costs a wake-up while nothing happens.
_STEP = 10
_STEP_ABOVE = 50
_LONGEST_BURST = 1_600
_TIMEOUT = 1_000


class Ears:
    """Listens to a directory and to its place in the folder above, until closed.

    *heard* and *broken* are called on other threads; *broken* says whether it had been listening before. What is heard
    is only a hint that something may have changed, and not all is heard: links that lead out of the directory, remote
    file systems, an overflow of the kernel's queue.
    """

    def __init__(
        self, directory: Path, heard: Callable[[], object], broken: Callable[[Exception, bool], object]
    ) -> None:
        self._closed = threading.Event()
        self._directory = str(directory)
        self._heard = heard
        self._broken = broken
        self._start(self._listen_below)
        self._start(self._listen_above)

    def close(self) -> None:
        """Stop listening; the threads end soon after."""
        self._closed.set()

    def _start(self, target: Callable[[], None]) -> None:
        threading.Thread(target=target, name="charhost-ear", daemon=True).start()

    def _listen_below(self) -> None:
        armed = False
        try:
            with self._notifier() as notify:
                armed = True
                self._heard()  # what changed while it was armed was not heard
                self._listen(notify, _STEP, self._matters)
        except Exception as e:
            # Among others: the directory is gone, no more watches are left, the name of a file is not UTF-8.
            if not self._closed.is_set():
                self._broken(e, armed)

    def _notifier(self) -> RustNotify:
        # To ignore what may not be read is also to ignore that no more watches are left: so only where it must be.
        try:
            return RustNotify([self._directory], False, False, 0, True, False)
        except PermissionError:
            return RustNotify([self._directory], False, False, 0, True, True)

    def _listen_above(self) -> None:
        # Where the folder above cannot be watched, looking at the directory's place now and then has to do.
        with (
            suppress(Exception),
            RustNotify([os.path.dirname(self._directory)], False, False, 0, False, True) as notify,
        ):
            self._listen(notify, _STEP_ABOVE, self._is_directory)

    def _listen(self, notify: RustNotify, step: int, matters: Callable[[str], bool]) -> None:
        while (changes := notify.watch(_LONGEST_BURST, step, _TIMEOUT, self._closed)) != "stop":
            if isinstance(changes, set) and any(matters(changed) for _, changed in changes):
                self._heard()

    def _matters(self, changed: str) -> bool:
        """Skip what cannot be a character: bytecode, a repository's own files, and files of other kinds."""
        below = changed.removeprefix(self._directory) + "/"
        if "/__pycache__/" in below or "/.git/" in below:
            return False
        return changed.endswith(".py") or not os.path.isfile(changed)

    def _is_directory(self, changed: str) -> bool:
        return changed == self._directory
