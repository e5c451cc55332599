"""Sharing of the interpreter lock."""

import time


class PeriodicYield:
    """Lets other threads have the interpreter lock, often enough for the event loop, and not more often."""

    # A pause costs about 0.1 ms whatever its length; without one the lock changes hands every 5 ms.
    _INTERVAL = 0.001

    def __init__(self) -> None:
        self._last = time.monotonic()

    def step(self) -> None:
        """Pause if the last pause is long enough ago; call it between pieces of work."""
        if time.monotonic() - self._last > self._INTERVAL:
            time.sleep(0)
            self._last = time.monotonic()
