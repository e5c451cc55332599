"""The log of faults that last, such as a full disk."""

import logging
import time
from collections.abc import Callable

from charhost.errors import EngineError, StateError
from charhost.logs.line_limit import LineLimit, kind_of, left_out_note

# A traceback of these would show charhost's own code only: the fault is the machine's.
_OF_THE_MACHINE = (OSError, StateError, EngineError)


class FaultLog:
    """Logs each kind of fault when it begins, then at most once a minute while it lasts, with the number left out."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._limit = LineLimit(clock)

    def error(self, message: str, *values: object, cause: Exception | None = None) -> None:
        """Log *message* and its *cause*: in one line, or as a traceback if it is a bug, which is a kind of its own."""
        is_bug = not isinstance(cause, _OF_THE_MACHINE)
        if (left_out := self._limit.admit(f"{message} {kind_of(cause)}" if is_bug else message)) is None:
            return
        note = left_out_note(left_out)
        if not is_bug:
            self._log.error(f"{message}: %s%s", *values, cause, note)
        else:
            self._log.error(f"{message}%s", *values, note, exc_info=cause)

    def info(self, kind: str, message: str, *values: object) -> None:
        """Log *message* for a *kind* that is no fault of the server, such as a refused request."""
        if (left_out := self._limit.admit(kind)) is not None:
            self._log.info(f"{message}%s", *values, left_out_note(left_out))
