"""The cyclic garbage collector of the process."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

T = TypeVar("T")


class _Pauses:
    """Counts the pauses of the collector, which may overlap on several threads: the last one to end resumes it.

    There is one, as there is one collector of the process.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0
        self._was_enabled = False

    @property
    def are_on(self) -> bool:
        return self._count > 0

    def begin(self) -> None:
        with self._lock:
            if self._count == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._count += 1

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0 and self._was_enabled:
                gc.enable()


_PAUSES = _Pauses()
OLDEST = 2  # generation
YOUNG = 100  # files make so many objects that a collection of them takes a few milliseconds


def freeze_old(phase: str, info: dict[str, int]) -> None:
    """As a callback of the collector, have it look no more at the objects that a collection of the oldest has left."""
    if phase == "stop" and info["generation"] == OLDEST:
        gc.freeze()


def collect_young() -> None:
    """Collect the garbage among new objects; where `freeze_old` is in use, the others are not looked at again."""
    gc.collect(OLDEST - 1)
    if freeze_old in gc.callbacks:
        gc.freeze()


def in_slices(items: Iterable[T]) -> Iterator[T]:
    """Yield *items*, and collect the young objects after every hundred.

    The event loop stands still in a collection, also in one on another thread. The one that begins by itself, after the
    collector was paused, would have the objects of all items to look at.
    """
    for index, item in enumerate(items, 1):
        yield item
        if index % YOUNG == 0:
            collect_young()


def collect_everything() -> int:
    """Collect the garbage among all objects, also those that `freeze_old` has frozen; return how many it were."""
    if freeze_old not in gc.callbacks:
        return gc.collect()
    gc.unfreeze()
    garbage = gc.collect()
    gc.collect()  # else the interpreter waits for a quarter as many new objects as there are, before it collects again
    return garbage


def is_paused() -> bool:
    """Return whether `collector_paused` is in use; characters may have turned the collector off without it."""
    return _PAUSES.are_on


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector while many objects and no garbage are made, as by builds."""
    _PAUSES.begin()
    try:
        yield
    finally:
        _PAUSES.end()


@contextmanager
def importing() -> Iterator[None]:
    """Pause the collector while modules are imported, and have it look at none of them later.

    They stay, and a look at all of them takes longer than to import many.
    """
    with collector_paused():
        yield
        gc.freeze()
