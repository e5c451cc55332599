"""Control of the cyclic garbage collector."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType


class Garbage:
    """Collects the modules of retired builds: reference cycles, which only the garbage collector frees.

    By itself it waits until they are a quarter of all objects; a server that reloads often would grow by as much,
    and then pause for as long as freeing them takes. So it runs each time as many modules have retired as were last
    loaded, and frees a part of them at a time.
    """

    # Seconds, so that the response to the reload is sent first.
    _DELAY = 0.05
    _PAUSE = 0.005
    # A collection looks at all objects, and frees those of one part: more parts would take longer than they help.
    _PARTS = 3
    _LEAST_PART = 100

    def __init__(self) -> None:
        self._retired = 0
        self._size = 0

    def collector(self, size: int) -> Callable[[list[ModuleType]], None]:
        """Return the function that a build calls with its modules when it retires; a whole set has *size* now."""
        self._size = size
        return partial(self._add, asyncio.get_running_loop())

    def _add(self, loop: asyncio.AbstractEventLoop, modules: list[ModuleType]) -> None:
        self._retired += len(modules)
        if self._retired >= self._size and not loop.is_closed():
            self._retired = 0
            part = max(self._LEAST_PART, -(-len(modules) // self._PARTS))
            # What is referenced here is not collected yet.
            loop.call_soon_threadsafe(loop.call_later, self._DELAY, self._collect, loop, modules[part:], part)

    def _collect(self, loop: asyncio.AbstractEventLoop, kept: list[ModuleType], part: int) -> None:
        gc.collect()
        if kept:
            loop.call_later(self._PAUSE, self._collect, loop, kept[part:], part)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector: snapshots and builds make many objects and no garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
