"""A measured server: `python -m scripts.benchmarks.serving charhost|naive PORT PROBE_PORT`.

A connection to the probe's port receives the longest gap of the event loop since the last one, in ms, and the memory,
in MiB, as JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from scripts.benchmarks import naive

_TICK = 0.001


class _Probe:
    def __init__(self, port: int) -> None:
        self._port = port
        self._longest = 0.0

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", self._port)
        ticking = asyncio.create_task(self._tick())
        yield
        ticking.cancel()
        server.close()

    async def _tick(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(_TICK)
            now = time.perf_counter()
            self._longest, last = max(self._longest, now - last - _TICK), now

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        writer.write(json.dumps({"gap": self._longest * 1000, "memory": pages * 4096 / (1 << 20)}).encode())
        self._longest = 0.0
        writer.close()


def main(kind: str, port: int, probe: int) -> None:
    if kind == "naive":
        app = naive.create_app()
    else:
        from charhost.settings import Settings
        from charhost.web.app import create_app

        app = create_app(Settings(port=port))
    app.cleanup_ctx.append(_Probe(probe).run)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, handler_cancellation=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
