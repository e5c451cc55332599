"""Whether the watcher works, in metrics, status and log."""

from __future__ import annotations

import logging
import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from charhost.metrics import Metrics

log = logging.getLogger("charhost.watch")

# Seconds until the same warning is logged again: a file name that ends events does so again and again.
_SAME_WARNING = 60.0


class WatcherStatus(BaseModel):
    """The state of the watcher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    up: bool = Field(description="Whether changes of the directory are noticed.")
    mode: Literal["events", "poll"] = Field(description="Whether the file system reports changes, or is polled.")
    last_event: str | None
    last_comparison: str | None
    held: bool = Field(description="Whether the files on the disk were refused, and have not changed since.")
    restarts: int


class Health:
    """Whether the watcher is up, whether it holds files that were refused, and how often it was restarted."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._warning, self._warned = "", 0.0
        self._is_announced = False
        self.is_up = False
        self.is_held = False
        self.restarts = 0

    def up(self, directory: str) -> None:
        """Note that *directory* is being watched."""
        self.is_up = True
        self._metrics.watcher_up.set(1)
        if not self._is_announced:
            log.info("watching the character directory %s", directory)
            self._is_announced = True

    def down(self, why: str) -> None:
        """Note that changes are not noticed."""
        self.is_up = False
        self._metrics.watcher_up.set(0)
        if why != self._warning or time.monotonic() - self._warned > _SAME_WARNING:
            log.warning("not watching the character directory: %s", why)
            self._warning, self._warned = why, time.monotonic()
            self._is_announced = False

    def restart(self, why: str) -> None:
        """Note that watching has to begin again."""
        self.restarts += 1
        self._metrics.watcher_restarts.inc()
        self.down(why)

    def hold(self, is_held: bool) -> None:
        """Note whether the files on the disk were refused."""
        self.is_held = is_held
        self._metrics.watcher_held.set(is_held)
