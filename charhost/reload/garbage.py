"""Control of the cyclic garbage collector."""

import asyncio
import gc
from collections.abc import Callable
from functools import partial
from types import ModuleType


class Garbage:
    """Collects the modules of retired builds: reference cycles, which only the garbage collector frees.

    By itself it waits until they are a quarter of all objects; a server that reloads often would grow by as much,
    and then pause for as long as freeing them takes. So it runs each time as many modules have retired as were last
    loaded. To free them in parts would look at all objects for each part.
    """

    # Seconds, so that the response to the reload is sent first.
    _DELAY = 0.05

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
            loop.call_soon_threadsafe(lambda: loop.call_later(self._DELAY, gc.collect))
