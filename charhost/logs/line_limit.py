"""The limit of lines of one kind in the log."""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from traceback import walk_tb

# Seconds until lines of the same kind are admitted again.
INTERVAL = 60.0
_MOST = 10
# A process that lives long meets ever new lines that raise: the first kinds are forgotten.
_MOST_KINDS = 1_000


@dataclass(slots=True)
class _Kind:
    until: float = -math.inf
    room: int = 0
    left_out: int = 0


class LineLimit:
    """Admits the first lines of each kind in a minute, and counts the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kinds: defaultdict[str, _Kind] = defaultdict(_Kind)

    def admit(self, kind: str, most: int = 1) -> int | None:
        """Return how many lines of *kind* were left out since the last one; None if this one is to be left out, too."""
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        seen, now = self._kinds[kind], self._clock()
        if now >= seen.until:
            seen.until, seen.room = now + INTERVAL, most
        if not seen.room:
            seen.left_out += 1
            return None
        seen.room -= 1
        left_out, seen.left_out = seen.left_out, 0
        return left_out


def limited(kind: str = "", most: int = _MOST) -> Mapping[str, object]:
    """Return the `extra` of a record that clients can cause: the log has *most* with its text and *kind* a minute.

    Each exception that a record has is a kind of its own, by its type and the line that raised it.
    """
    return {"limit": (kind, most)}


class LimitedRecords(logging.Filter):
    """Leaves out the records beyond a limit, and notes in the next record of the kind how many there were."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._limit = LineLimit(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        if (limit := getattr(record, "limit", None)) is None:
            return True
        kind, most = limit
        error = record.exc_info[1] if record.exc_info else None
        left_out = self._limit.admit(f"{record.name} {record.msg} {kind} {kind_of(error)}", most)
        record.left_out = left_out
        return left_out is not None


def kind_of(error: BaseException | None) -> str:
    """Return the type of an exception, and the line that raised it."""
    while isinstance(error, BaseExceptionGroup):  # which is raised where its tasks end
        error = error.exceptions[0]
    if error is None:
        return ""
    places = [f"{frame.f_code.co_filename}:{line}" for frame, line in walk_tb(error.__traceback__)]
    return " ".join((type(error).__qualname__, *places[-1:]))


def left_out_note(count: int | None) -> str:
    """Return the end of a line that stands for *count* others."""
    return f" ({count:,} more of this kind were left out before)" if count else ""
