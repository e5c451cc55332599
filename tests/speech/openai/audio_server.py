"""A fake of a server with OpenAI's audio API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Body = bytes | list[bytes] | BaseException


@dataclass
class AudioServer:
    """Responds with the next of *replies*, each a status, headers and a body; the last one stays.

    A body in parts is sent part by part; an exception in place of a body or a part cuts the connection. If it has
    *heard* something, that is the transcript of all sound.
    """

    replies: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)
    listed: Any = None
    heard: str | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AudioServer]:
        app = web.Application(client_max_size=1 << 26)
        app.add_routes(
            [
                web.post("/v1/audio/speech", self._speech),
                web.post("/v1/audio/transcriptions", self._transcriptions),
                web.get("/v1/audio/voices", self._voices),
                web.get("/v1/models", self._models),
            ]
        )
        async with TestServer(app) as server:
            self.url = str(server.make_url("/v1"))
            yield self

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        return await self._reply(request)

    async def _transcriptions(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        self.requests.append(
            {name: value.file.read() if isinstance(value, web.FileField) else value for name, value in form.items()}
        )
        return await self._reply(request) if self.heard is None else web.json_response({"text": self.heard})

    async def _reply(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        status, headers, body = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        response = web.StreamResponse(status=status, headers=headers)
        for part in body if isinstance(body, list) else [body]:
            if part is None:
                assert request.transport is not None
                request.transport.abort()
                return response
            if not response.prepared:
                await response.prepare(request)
            await response.write(part)
            await asyncio.sleep(0)
        return response

    async def _voices(self, request: web.Request) -> web.Response:
        return web.json_response(self.listed) if self.listed is not None else web.Response(status=404)

    async def _models(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        return web.json_response({"data": []})
