"""When the cyclic garbage collector runs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import finalize

from charhost.loading.module_space import ModuleSpace


class Garbage:
    """The modules of retired builds: cycles, which only the garbage collector frees.

    By itself it waits until they are a quarter of all objects; a server that reloads often would grow by as much,
    and then stop for as long as freeing them takes. So it runs each time as much has retired as was last loaded.
    """

    # Seconds that let the answer of the reload go out first.
    _DELAY = 0.05

    def __init__(self) -> None:
        self._modules = 0
        self._size = 0

    def expect(self, space: ModuleSpace, modules: int, size: int) -> None:
        """Count the *modules* of *space* when it retires; *size* is how many a whole set has now."""
        self._size = size
        finalize(space, self._add, asyncio.get_running_loop(), modules).atexit = False

    def _add(self, loop: asyncio.AbstractEventLoop, modules: int) -> None:
        # Called wherever the last holder of the space was let go, on any thread.
        self._modules += modules
        if self._modules >= self._size and not loop.is_closed():
            self._modules = 0
            loop.call_soon_threadsafe(lambda: loop.call_later(self._DELAY, gc.collect))


@contextmanager
def collector_paused() -> Iterator[None]:
    # Snapshots and builds make many objects and no garbage: a collection in their middle only stops the event loop.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
