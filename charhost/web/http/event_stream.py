"""EventStream: a response as server-sent events."""

import asyncio
from contextlib import suppress
from typing import Self

from aiohttp import hdrs, web

# Proxies and clients give up on a connection that is silent, while a model may think for minutes.
BEGIN_AFTER = 5.0
COMMENT_EVERY = 10.0
# In bytes: the rest of an event waits here, where it may be shared, and not in the buffers of many connections.
_PIECE = 64 << 10

_COMMENT = b": waiting for the model\n\n"
_HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold the events back
}


class EventStream:
    """Writes to one client at its speed.

    In silence the response begins after `BEGIN_AFTER` seconds, and has a comment every `COMMENT_EVERY` seconds. The
    block ends quietly if the client is gone.
    """

    def __init__(self, request: web.Request) -> None:
        self.response = web.StreamResponse(headers=_HEADERS)
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._written = self._loop.time()
        self._is_writing = False

    async def __aenter__(self) -> Self:
        self._silence = asyncio.create_task(self._fill_silence())
        return self

    async def __aexit__(self, _: object, error: BaseException | None, traceback: object) -> bool:
        self._silence.cancel()
        try:
            await asyncio.wait([self._silence])
        finally:
            del self._silence  # its error has the frame that holds this, and only the collector would free both
        return isinstance(error, ConnectionError)

    async def write(self, data: bytes) -> None:
        """Send *data*, after the headers if it is the first; raises `ConnectionError` if the client is gone."""
        self._is_writing = True
        try:
            if not self.response.prepared:
                await self.response.prepare(self._request)
            for start in range(0, len(data), _PIECE):
                await self.response.write(data[start : start + _PIECE])
        finally:
            self._is_writing = False
            self._written = self._loop.time()

    async def end(self) -> None:
        self._silence.cancel()
        await self.response.write_eof()

    async def _fill_silence(self) -> None:
        with suppress(ConnectionError):
            while True:
                until = self._written + (COMMENT_EVERY if self.response.prepared else BEGIN_AFTER)
                if self._is_writing or until > self._loop.time():
                    await asyncio.sleep(max(until - self._loop.time(), 0.1))
                else:
                    await self.write(_COMMENT)
