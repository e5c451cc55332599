"""Waiting for hints."""

import asyncio


class Hints:
    """Counts hints, and wakes all waiters at each. A waiter gives the count that it saw, so that it loses none."""

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def notify(self, data: bytes = b"") -> None:
        """Count one more; a `Listener`."""
        self.count += 1
        current, self._next = self._next, asyncio.Event()
        current.set()

    async def wait(self, seen: int, seconds: float) -> int:
        """Return the count once it is above *seen*, or when the time is over."""
        try:
            async with asyncio.timeout(seconds):
                while self.count <= seen:
                    await self._next.wait()
        except TimeoutError:
            pass
        return self.count
