"""The log of faults that last, such as a full disk."""

import logging
import time
from collections.abc import Callable

from charhost.errors import StateError

# Seconds until the same fault is logged again.
INTERVAL = 60.0

# A traceback of these would show charhost's own code only: the fault is the machine's.
_OF_THE_MACHINE = (OSError, StateError)


class FaultLog:
    """Logs each kind of fault when it begins, then at most once a minute while it lasts."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._due: dict[str, float] = {}

    def error(self, message: str, *values: object, cause: Exception | None = None) -> None:
        """Log *message*, which also is the kind, and its *cause*: in one line, or as a traceback if it is a bug."""
        now = self._clock()
        if now < self._due.get(message, now):
            return
        self._due[message] = now + INTERVAL
        if isinstance(cause, _OF_THE_MACHINE):
            self._log.error(f"{message}: %s", *values, cause)
        else:
            self._log.error(message, *values, exc_info=cause)
