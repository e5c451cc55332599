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

# Seconds between two looks, while a client takes a comment.
_SHORTEST_WAIT = 0.1

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
        self._comment: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._timer = self._loop.call_at(self._silent_at, self._look)
        return self

    async def __aexit__(self, _: object, error: BaseException | None, traceback: object) -> bool:
        self._end_comments()
        if self._comment is not None:
            try:
                await asyncio.wait([self._comment])
            finally:
                self._comment = None  # its error has the frame that holds this, and only the collector would free both
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
        self._end_comments()
        await self.response.write_eof()

    @property
    def _silent_at(self) -> float:
        return self._written + (COMMENT_EVERY if self.response.prepared else BEGIN_AFTER)

    def _look(self) -> None:
        """Begin a comment if the stream is silent, and look again."""
        now = self._loop.time()
        if not self._is_writing and self._silent_at <= now:
            self._comment = self._loop.create_task(self._write_comment())
        self._timer = self._loop.call_at(max(self._silent_at, now + _SHORTEST_WAIT), self._look)

    async def _write_comment(self) -> None:
        with suppress(ConnectionError):
            await self.write(_COMMENT)

    def _end_comments(self) -> None:
        self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()
