"""Wrong keys: counted in a metric, and logged without filling the log."""

import asyncio
import logging
from typing import Literal

from charhost.logs.line_limit import INTERVAL
from charhost.metrics import Metrics

KeyKind = Literal["admin", "chat"]

log = logging.getLogger("charhost.web")


class WrongKeys:
    """Counts the wrong keys of one application; logs the first at once, then at most one line a minute."""

    def __init__(self, metrics: Metrics) -> None:
        self._failures = metrics.auth_failures
        self._unlogged = 0
        self._last_remote: str | None = None
        self._next_line: asyncio.TimerHandle | None = None

    def count(self, kind: KeyKind, remote: str | None) -> None:
        self._failures.labels(kind).inc()
        self._unlogged += 1
        self._last_remote = remote
        if self._next_line is None:
            self._log()

    def _log(self) -> None:
        self._next_line = None
        if self._unlogged:
            log.warning("wrong keys within a minute: %d, the last from %s", self._unlogged, self._last_remote)
            self._unlogged = 0
            self._next_line = asyncio.get_running_loop().call_later(INTERVAL, self._log)
