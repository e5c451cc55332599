"""Whether a server of an engine is up."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from charhost.speech.speech import EngineState

_DEADLINE = 3.0
_INTERVAL = 10.0


class Probe:
    """Asks a server at most every few seconds; *check* returns whether it responds as it should."""

    def __init__(self, check: Callable[[], Awaitable[bool]]) -> None:
        self._check = check
        self._state: EngineState = "down"
        self._asked_at = float("-inf")

    async def state(self) -> EngineState:
        now = asyncio.get_running_loop().time()
        if now - self._asked_at > _INTERVAL:
            self._asked_at = now
            self._state = await self._asked()
        return self._state

    async def _asked(self) -> EngineState:
        try:
            async with asyncio.timeout(_DEADLINE):
                return "up" if await self._check() else "down"
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return "down"
