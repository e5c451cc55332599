"""The records of aiohttp's own loggers, which quote requests of clients, and their keys."""

import logging
import re
import time
import traceback
import warnings
from collections.abc import Callable

from aiohttp import BadContentDispositionHeader, BadContentDispositionParam

from charhost.logs.line_limit import LineLimit, left_out_note

LOGGERS = ("aiohttp.access", "aiohttp.client", "aiohttp.internal", "aiohttp.server", "aiohttp.web")

_VALUE = re.compile(r"%[^a-zA-Z%]*[a-zA-Z]")
_WORDS = re.compile(r"[A-Za-z ,'-]*")


class WithoutContent(logging.Filter):
    """Reduces a record to its text without values, the type of its exception and its stack; one a minute of each kind.

    Attached to a logger, once for the process.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._limit = LineLimit(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record in place; return whether to log it."""
        error = record.exc_info[1] if record.exc_info else None
        text = str(record.msg)
        # Without arguments the text may be a formatted one.
        kind = _VALUE.sub("…", text) if record.args else _WORDS.match(text)[0].strip()  # type: ignore[index]
        record.msg, record.args = kind if error is None else f"{kind} ({type(error).__name__})", None
        record.exc_info = record.exc_text = None
        if error is not None:
            record.exc_text = "".join(traceback.format_tb(error.__traceback__)).rstrip() or None
        left_out = self._limit.admit(record.msg) if kind else None
        record.msg += left_out_note(left_out)
        return left_out is not None


def filter_foreign_loggers() -> None:
    """Have aiohttp's loggers filtered, and its warnings about headers of clients left out, for the whole process."""
    for category in (BadContentDispositionHeader, BadContentDispositionParam):
        warnings.simplefilter("ignore", category)  # each is another text, which Python remembers and writes as it is
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(present, WithoutContent) for present in logger.filters):
            logger.addFilter(WithoutContent())
