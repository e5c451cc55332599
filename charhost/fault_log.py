"""The log of faults that last, such as a full disk."""

import logging
import time
from collections.abc import Callable

from charhost.errors import EngineError, StateError

# Seconds until the same fault is logged again.
INTERVAL = 60.0

# A traceback of these would show charhost's own code only: the fault is the machine's.
_OF_THE_MACHINE = (OSError, StateError, EngineError)


class FaultLog:
    """Logs each kind of fault when it begins, then at most once a minute while it lasts."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._due: dict[str, float] = {}

    def error(self, message: str, *values: object, cause: Exception | None = None) -> None:
        """Log *message*, which also is the kind, and its *cause*: in one line, or as a traceback if it is a bug."""
        if not self._is_due(message):
            return
        if isinstance(cause, _OF_THE_MACHINE):
            self._log.error(f"{message}: %s", *values, cause)
        else:
            self._log.error(message, *values, exc_info=cause)

    def info(self, kind: str, message: str, *values: object) -> None:
        """Log *message* for a *kind* that is no fault of the server, such as a refused request."""
        if self._is_due(kind):
            self._log.info(message, *values)

    def _is_due(self, kind: str) -> bool:
        now = self._clock()
        if now < self._due.get(kind, now):
            return False
        self._due[kind] = now + INTERVAL
        return True
