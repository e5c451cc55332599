"""A model that repeats the last word of its prompt, and fails now and then in each way that models fail."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web

WORDS = 8
_PAUSE = 0.01
_FAILURES = ("refused", "cut", "garbage", "slow")
_FAILING = 0.15  # the share of the requests


@asynccontextmanager
async def flaky_model(chance: random.Random) -> AsyncIterator[str]:
    """Run the model until the end of the block; yields its URL."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _Model(chance).respond)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


class _Model:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def respond(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = next(message["content"] for message in body["messages"] if message["role"] == "system")
        failure = self._chance.choice(_FAILURES) if self._chance.random() < _FAILING else None
        if failure == "refused":
            return web.json_response({"error": {"message": "overloaded"}}, status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        with suppress(ConnectionError):  # the server has had enough, or this is the failure
            await self._stream(request, response, prompt.split()[-1], failure)
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse, word: str, failure: str | None) -> None:
        await response.prepare(request)
        for number in range(WORDS):
            if failure is not None and number == WORDS // 2:
                if failure == "slow":
                    await asyncio.sleep(1)
                elif failure == "garbage":
                    await response.write(b"data: {not JSON\n\n")
                elif request.transport is not None:
                    request.transport.abort()
            await response.write(_event({"content": f"{word} "}, None))
            await asyncio.sleep(_PAUSE)
        await response.write(_event({}, "stop") + b"data: [DONE]\n\n")


def _event(delta: dict[str, str], reason: str | None) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
