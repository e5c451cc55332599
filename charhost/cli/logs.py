"""The format and the files of the log; set up by the command, never by the library."""

import logging
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, TextIO

from charhost.errors import SettingsError
from charhost.logs.fault_log import FaultLog
from charhost.logs.line_limit import LimitedRecords, left_out_note
from charhost.settings import Settings
from charhost.text import Lines, printable, public

log = logging.getLogger("charhost.log")


# The lines of a traceback may be those of a client or a file: none may look like a record.
_RECORD = re.compile(r"^(?=\d{4}-\d\d-\d\d )", re.MULTILINE)


class Formatter(logging.Formatter):
    """One line for each record, then its traceback; modules are called as their authors call them.

    Control characters of values are escaped: names of files, tools and models may have some, and so may errors.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        shown = copy(record)
        shown.args = _safe(record.args)
        if not record.args:  # the text may have been formatted by the caller
            shown.msg = _safe(record.msg)
        text, *rest = super().format(shown).split("\n")
        text += left_out_note(getattr(record, "left_out", None))
        lines = printable("\n".join(rest), kept="\n\t")
        return public("\n".join([printable(text, kept="\t"), *([_RECORD.sub(" ", lines)] if rest else ())]))


def _safe(value: Any) -> Any:
    """Return the arguments of a record, or one of them, without characters that break a line or obey a terminal."""
    if isinstance(value, tuple):
        return tuple(map(_safe, value))
    if isinstance(value, Mapping):
        return {name: _safe(item) for name, item in value.items()}
    if value is None or isinstance(value, (int, float, Lines)):
        return value
    return printable(str(value))


class LogFile(WatchedFileHandler):
    """A file that loses its lines while it cannot be written, of which standard error has one line a minute."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._faults = FaultLog(log)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # it was removed, and cannot be made again
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        # Closed, because the rest of the line in its buffer would keep it from being opened again elsewhere.
        if self.stream is not None:
            with suppress(OSError):
                self.stream.close()
        self.stream = None
        self._faults.error("the log file %s cannot be written", self.baseFilename, cause=error)


def configure(settings: Settings) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(_own_stderr())]
    if settings.log_file is not None:
        handlers.append(_log_file(settings.log_file))
    for handler in handlers:
        handler.setFormatter(Formatter())
        handler.addFilter(LimitedRecords())
    # It logs every event, also those of files that are no characters.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)


def _log_file(path: Path) -> LogFile:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return LogFile(path)
    except OSError as e:
        raise SettingsError(f"the log file {path} cannot be opened: {e.strerror}; name another with --log-file") from e


def _own_stderr() -> TextIO:
    # A file may close descriptor 2, or sys.stderr; the next socket to be opened would then be sent the log.
    with suppress(OSError, ValueError):
        if sys.stderr.fileno() == 2:
            return open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    return sys.stderr
