"""Control of the cyclic garbage collector."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import finalize

from charhost.loading.module_space import ModuleSpace


class Garbage:
    """Collects the modules of retired builds: reference cycles, which only the garbage collector frees.

    By itself it waits until they are a quarter of all objects; a server that reloads often would grow by as much,
    and then pause for as long as freeing them takes. So it runs each time as many modules have retired as were last
    loaded.
    """

    # Seconds, so that the response to the reload is sent first.
    _DELAY = 0.05

    def __init__(self) -> None:
        self._modules = 0
        self._size = 0

    def expect(self, space: ModuleSpace, modules: int, size: int) -> None:
        """Count the *modules* of *space* when it retires; *size* is how many a whole set has now."""
        self._size = size
        finalize(space, self._add, asyncio.get_running_loop(), modules).atexit = False

    def _add(self, loop: asyncio.AbstractEventLoop, modules: int) -> None:
        # Called on any thread, when the last reference to the space is dropped.
        self._modules += modules
        if self._modules >= self._size and not loop.is_closed():
            self._modules = 0
            loop.call_soon_threadsafe(lambda: loop.call_later(self._DELAY, gc.collect))


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
