"""The choice between the file system's events and polling."""

from __future__ import annotations

import logging

log = logging.getLogger("charhost.watch")

# Changes that only the timer found, before events are no longer relied on.
_MOST_DRIFTS = 3


class Polling:
    """Whether the directory is polled: from the start, or once events turn out to be missing."""

    def __init__(self, is_on: bool) -> None:
        self._drifts = 0
        self.is_on = is_on

    def turn_on(self, why: str) -> None:
        """Poll from now on."""
        log.warning("polling the character directory for changes: %s", why)
        self.is_on = True

    def add_drift(self) -> None:
        """Count a change that had no event."""
        self._drifts += 1
        if self._drifts >= _MOST_DRIFTS and not self.is_on:
            self.turn_on(f"{self._drifts} changes had no event")
