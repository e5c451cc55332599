"""EventStream: a response as server-sent events."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import hdrs, web

from charhost.web.sessions.outbox import STALLED_READER_LIMIT, abort

_HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold the events back
}


class EventStream:
    """Writes to one client at its speed, and aborts the connection if it reads nothing for `STALLED_READER_LIMIT`."""

    def __init__(self, request: web.Request) -> None:
        self.response = web.StreamResponse(headers=_HEADERS)
        self._request = request

    async def write(self, data: bytes) -> None:
        """Send *data*, after the headers if it is the first; raises `ConnectionError` if the client is gone."""
        with self._deadline():
            if not self.response.prepared:
                await self.response.prepare(self._request)
            await self.response.write(data)

    async def end(self) -> None:
        with self._deadline():
            await self.response.write_eof()

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        # Not asyncio.timeout: a cancelled write leaves aiohttp's writer in an undefined state.
        timer = asyncio.get_running_loop().call_later(STALLED_READER_LIMIT, abort, self._request)
        try:
            yield
        finally:
            timer.cancel()
