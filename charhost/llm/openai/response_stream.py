import asyncio
from contextlib import suppress

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from charhost.llm.model import ModelError
from charhost.llm.openai.sse import EventData, EventTooLong
from charhost.memory.budget import Holding, MemoryBudget

_MOST_BYTES = 16 << 20
# A hundred thousand tokens, each in an event of its own, are about 20 MB.
MOST_RECEIVED = 64 << 20
_LAST_BYTES = 0.05
# Of the budget of memory, so that it is asked once for hundreds of words.
_GRAIN = 64 << 10


class ResponseStream:
    """Reads the events of a streamed response, or the body of another one.

    Only events extend the deadline: it is the moment *first* until the first event, then *idle* seconds after each.
    Time in which the caller does not read does not count.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        first: float,
        first_seconds: float,
        idle: float,
        memory: Holding | None = None,
    ) -> None:
        self._memory = memory or MemoryBudget().holding("model_responses")
        self.ended = False
        self.taken = 0  # pieces that the caller has dealt with, as it counts them
        self._stopped: ModelError | None = None
        self._received = 0
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._kind = response.content_type
        self._source = _Whole() if self._kind == "application/json" else EventData()
        self._until = first
        self._timer: asyncio.TimerHandle | None = None
        self._reading = self._has_new_events = False
        self._idle = idle
        self._timeout_text = f"The model did not begin its response within {first_seconds:g} s (--llm-first-deadline)."

    @property
    def is_held_back(self) -> bool:
        """Whether the response waits for its reader, and not the reader for the response."""
        return not self._reading

    def stop(self, error: ModelError) -> None:
        """End the response at once; a later read raises *error*."""
        self._stopped = error
        self.close()

    def close(self) -> None:
        self._memory.resize(0)
        if self._timer is not None:
            self._timer.cancel()
        # No effect on a connection whose response was read to its end: it is in the pool again.
        self._response.close()

    async def read(self) -> list[bytes]:
        """Wait for more, and return the data of its events, if there are any; raises `ModelError`."""
        if self._kind == "text/html":
            raise ModelError("malformed", "The model's server sent a web page instead of a response.")
        piece = await self._piece()
        self.ended = not piece
        self._received += len(piece)
        if self._received > MOST_RECEIVED:
            raise ModelError("malformed", f"The model's response exceeds {MOST_RECEIVED >> 20} MiB.")
        # Each piece of text is an object, which takes about as much as the event around it.
        if self._received > self._memory.size + _GRAIN and not self._memory.take(self._received - self._memory.size):
            raise ModelError("busy", "The server has no memory left for the model's response; try again later.")
        events = self._source.feed(piece) if piece else self._source.end()
        self._has_new_events = self._has_new_events or bool(events)
        return events

    async def finish(self) -> None:
        """Read the rest after the last event, so that the connection can be used again."""
        with suppress(TimeoutError, aiohttp.ClientError, OSError, HttpProcessingError):
            async with asyncio.timeout(_LAST_BYTES):
                while await self._response.content.readany():
                    pass

    async def _piece(self) -> bytes:
        if self._stopped is not None:
            raise self._stopped
        self._set_timer()
        self._reading = True
        try:
            return await self._response.content.readany()
        except TimeoutError:
            raise ModelError("timeout", self._timeout_text) from None
        except (aiohttp.ClientError, OSError, HttpProcessingError) as e:
            raise ModelError("truncated", "The connection to the model's server broke during the response.") from e
        finally:
            self._reading = False

    def _set_timer(self) -> None:
        """Keep a timer that fires at the deadline or before: a timeout per read would cost more than the read."""
        if self._has_new_events:
            self._has_new_events = False
            self._until = self._loop.time() + self._idle
            self._timeout_text = f"The model paused for more than {self._idle:g} s (--llm-idle-deadline)."
        if self._timer is not None and self._timer.when() > self._until:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._reading and self._loop.time() >= self._until:
            self._response.content.set_exception(TimeoutError())
        elif self._reading:
            self._set_timer()


class _Whole:
    """Collects a response that is not streamed, as some servers send in spite of `stream`."""

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        self._body += piece
        if len(self._body) > _MOST_BYTES:
            raise EventTooLong
        return []

    def end(self) -> list[bytes]:
        return [bytes(self._body), b"[DONE]"]
