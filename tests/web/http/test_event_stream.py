"""EventStream: a response as server-sent events."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable

from aiohttp import web

from charhost.web.http.event_stream import EventStream
from tests.conftest import Client

LIMIT = 30.0


async def test_a_stream_that_has_ended_is_freed(aiohttp_client: Callable[..., Awaitable[Client]]) -> None:
    """What a stream held is freed with its response, without the collector."""
    gone = list[weakref.ref[object]]()

    async def page(request: web.Request) -> web.StreamResponse:
        async with EventStream(request) as stream:
            gone.append(weakref.ref(stream))
            await stream.write(b"data: {}\n\n")
            await stream.end()
        return stream.response

    app = web.Application()
    app.router.add_get("/", page)
    client = await aiohttp_client(app)
    gc.collect()
    gc.disable()
    try:
        assert await (await client.get("/")).read() == b"data: {}\n\n"
        async with asyncio.timeout(LIMIT):
            while gone[0]() is not None:  # the handler ends after the response
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
