"""A measured server: `python -m scripts.benchmarks.voice.server KIND DIRECTORY PORT PROBE_PORT`.

The first connection to the probe begins to measure the event loop, the next one ends it: it receives the figures as
JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from charhost.settings import Settings
from charhost.web.app import create_app
from charhost.web.keys import CONVERSATIONS
from charhost.web.serve import serve
from scripts.benchmarks.serving import address
from scripts.benchmarks.voice.engines import KINDS, WordModel, engines_for

_TICK = 0.005


class _Probe:
    """Measures how late the event loop is, by the clock, and by the time that this process computes meanwhile."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._gaps: list[float] = []
        self._computed: list[float] = []
        self._ticking: asyncio.Task[None] | None = None

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._respond, address(self._number))
        yield
        server.close()

    async def _tick(self) -> None:
        last, computed = time.perf_counter(), time.process_time()
        while True:
            await asyncio.sleep(_TICK)
            self._gaps.append(time.perf_counter() - last - _TICK)
            self._computed.append(time.process_time() - computed)
            last, computed = time.perf_counter(), time.process_time()

    async def _respond(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())
        else:
            self._ticking.cancel()
            self._ticking = None
        figures = {"gap": _p99(self._gaps), "longest": max(self._gaps, default=0.0), "computed": _p99(self._computed)}
        found = {name: seconds * 1000 for name, seconds in figures.items()} | {"tasks": len(asyncio.all_tasks())}
        self._gaps, self._computed = [], []
        writer.write(json.dumps(found).encode())
        writer.close()


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)] if values else 0.0


async def _drop(request: web.Request) -> web.WebSocketResponse:
    """Read what a client sends, and do nothing with it."""
    ws = web.WebSocketResponse(autoping=False, compress=False)
    await ws.prepare(request)
    await ws.send_json({"type": "session.created"})
    async for _ in ws:
        pass
    return ws


def _bare() -> web.Application:
    app = web.Application()
    app.router.add_get("/v1/realtime", _drop)
    return app


def main(kind: str, directory: str, port: int, probe: int) -> None:
    measured = _Probe(probe).run
    if kind == "bare":
        app = _bare()
        app.cleanup_ctx.append(measured)
        web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, handler_cancellation=True)
        return
    settings = Settings(port=port, directory=Path(directory), client_voices=True)
    app = create_app(settings, engines_for(next(one for one in KINDS if one == kind)))
    app[CONVERSATIONS].models = WordModel()
    app.cleanup_ctx.append(measured)
    serve(settings, app)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
