"""Whether the watcher works, in metrics, status and log."""

import logging
import time
from typing import Literal

from pydantic import BaseModel, Field

from charhost.logs.line_limit import INTERVAL
from charhost.metrics import Metrics
from charhost.report import DEFAULT_SET

log = logging.getLogger("charhost.watch")

# Changes that only the timer found, before events are no longer relied on.
_MOST_DRIFTS = 3


class WatcherStatus(BaseModel, extra="forbid"):
    """The state of the watcher."""

    up: bool = Field(description="Whether changes of the directory are noticed.")
    mode: Literal["events", "poll"] = Field(description="Whether the file system reports changes, or is polled.")
    last_event: str | None
    last_comparison: str | None
    held: bool = Field(description="Whether the files on the disk were refused, and have not changed since.")
    restarts: int


class WatcherHealth:
    """Owns the status of the watcher, and reports its changes to the metrics and the log."""

    def __init__(self, metrics: Metrics, poll: bool, name: str = DEFAULT_SET) -> None:
        self._name = name  # that of the set
        mode: Literal["events", "poll"] = "poll" if poll else "events"
        self.status = WatcherStatus(up=False, mode=mode, last_event=None, last_comparison=None, held=False, restarts=0)
        self._metrics = metrics
        self._warning, self._warned = "", 0.0
        self._is_announced = False
        self._drifts = 0

    @property
    def is_polling(self) -> bool:
        return self.status.mode == "poll"

    def up(self, directory: str) -> None:
        self.status.up = True
        self._metrics.gauge("watcher_up", self._name, 1)
        if not self._is_announced:
            log.info("watching the character directory %s", directory)
            self._is_announced = True

    def down(self, why: str) -> None:
        self.status.up = False
        self._metrics.gauge("watcher_up", self._name, 0)
        # A file name that ends events does so again and again.
        if why != self._warning or time.monotonic() - self._warned > INTERVAL:
            log.warning("not watching the character directory: %s", why)
            self._warning, self._warned = why, time.monotonic()
            self._is_announced = False

    def restart(self, why: str) -> None:
        self.status.restarts += 1
        self._metrics.restarted_watcher(self._name)
        self.down(why)

    def hold(self, is_held: bool) -> None:
        self.status.held = is_held
        self._metrics.gauge("watcher_held", self._name, is_held)

    def poll(self, why: str) -> None:
        log.warning("polling the character directory for changes: %s", why)
        self.status.mode = "poll"

    def drift(self) -> None:
        """Count a change that had no event."""
        self._drifts += 1
        if self._drifts >= _MOST_DRIFTS and not self.is_polling:
            self.poll(f"{self._drifts} changes had no event")
