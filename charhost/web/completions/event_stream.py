"""EventStream: a response as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import hdrs, web

# A client that reads nothing keeps the model busy.
STALLED_READER_LIMIT = 30.0

_HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold the events back
}


class EventStream:
    """Writes to one client at its speed; the headers are sent with the first write."""

    def __init__(self, request: web.Request) -> None:
        self.response = web.StreamResponse(headers=_HEADERS)
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._waiting_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def begun(self) -> bool:
        return self.response.prepared

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Abort the connection if the client reads nothing for `STALLED_READER_LIMIT` seconds."""
        # Not asyncio.timeout: a cancelled write leaves aiohttp's writer in an undefined state.
        self._look()
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def write(self, data: bytes) -> None:
        """Send *data* when the client has room for it; raises `ConnectionError` if it is gone."""
        self._waiting_since = self._loop.time()
        if not self.begun:
            await self.response.prepare(self._request)
        await self.response.write(data)
        self._waiting_since = None

    async def end(self) -> None:
        self._waiting_since = self._loop.time()
        await self.response.write_eof()

    def _look(self) -> None:
        now = self._loop.time()
        due = (now if self._waiting_since is None else self._waiting_since) + STALLED_READER_LIMIT
        if due > now:
            self._timer = self._loop.call_at(due, self._look)
        elif self._request.transport is not None:
            self._request.transport.abort()
