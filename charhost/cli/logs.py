"""The format and the files of the log; set up by the command, never by the library."""

import logging
import os
import sys
from contextlib import suppress
from logging.handlers import WatchedFileHandler
from typing import TextIO

from charhost.settings import Settings
from charhost.text import public


class Formatter(logging.Formatter):
    """One line for each record, then its traceback; modules are called as their authors call them."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return public(super().format(record))


def configure(settings: Settings) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(_own_stderr())]
    if settings.log_file is not None:
        settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(WatchedFileHandler(settings.log_file, encoding="utf-8", errors="backslashreplace"))
    for handler in handlers:
        handler.setFormatter(Formatter())
    # It logs every event, also those of files that are no characters.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)


def _own_stderr() -> TextIO:
    # A file may close descriptor 2, or sys.stderr; the next socket to be opened would then be sent the log.
    with suppress(OSError, ValueError):
        if sys.stderr.fileno() == 2:
            return open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    return sys.stderr
