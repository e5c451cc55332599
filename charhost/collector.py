"""The cyclic garbage collector of the process."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector while many objects and no garbage are made, as by imports and builds.

    These are old afterwards, without a look at them: as young ones they would be looked at one more time, and
    bring about a collection of everything.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        if enabled:
            gc.enable()
