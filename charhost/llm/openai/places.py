"""Places: the requests to models that may run at a time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Self

from charhost.llm.model import ModelError
from charhost.llm.openai.response_stream import ResponseStream
from charhost.logs.line_limit import limited

log = logging.getLogger("charhost.llm")

LOOK_EVERY = 1.0
# Seconds in which a reader has to take `_LEAST_PIECES` of a response that waits for it, while other requests wait.
SLOW_READER_LIMIT = 5.0
_LEAST_PIECES = 25
_BUSY_SECONDS = 5


@dataclass(eq=False, slots=True)
class Place:
    """The right to one request, whose response is `stream` once it has begun, while the block runs.

    To enter it raises `ModelError` if no place became free.
    """

    _places: Places
    stream: ResponseStream | None = None
    _taken: int = 0
    _since: float = 0.0

    async def __aenter__(self) -> Self:
        await self._places.take(self)
        self._since = asyncio.get_running_loop().time()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._places.release(self)

    def is_idle(self, now: float) -> bool:
        """Return whether the response has waited too long for its reader."""
        stream = self.stream
        if stream is None or not stream.is_held_back or stream.taken - self._taken >= _LEAST_PIECES:
            self._taken, self._since = stream.taken if stream is not None else 0, now
        return now - self._since >= SLOW_READER_LIMIT


class Places:
    """Gives at most *most* places, in the order of the requests, each of which waits at most *wait* seconds.

    While requests wait, the places of readers that take almost nothing go to them. Such a response is stopped: without
    its place it would still take one of the model's server, which has no more of them.
    """

    def __init__(self, most: int, wait: float) -> None:
        self._wait = wait
        self._free = asyncio.Semaphore(most)
        self._held: dict[Place, None] = {}
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, place: Place) -> None:
        """Wait until *place* is free; raises `ModelError` if none became free."""
        await (self._queue() if self._free.locked() else self._free.acquire())
        self._held[place] = None

    def release(self, place: Place) -> None:
        if place in self._held:
            del self._held[place]
            self._free.release()

    async def _queue(self) -> None:
        self._waiting += 1
        self._look_later()
        try:
            async with asyncio.timeout(self._wait):
                await self._free.acquire()
        except TimeoutError:
            text = f"The model is busy: no slot became free within {self._wait:g} s (--llm-wait)."
            raise ModelError("busy", text, retry_after=_BUSY_SECONDS) from None
        finally:
            self._waiting -= 1

    def _look_later(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        idle = [place for place in self._held if place.is_idle(now)]
        for place in idle[: self._waiting]:
            self._take_back(place)
        self._look_later()

    def _take_back(self, place: Place) -> None:
        assert place.stream is not None
        log.info("the place of a response that its client does not read goes to another request", extra=limited())
        text = "The response was stopped: its client did not read it, while other requests waited for the model."
        place.stream.stop(ModelError("busy", text))
        self.release(place)
