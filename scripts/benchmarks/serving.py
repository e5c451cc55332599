"""A measured server: `python -m scripts.benchmarks.serving charhost|naive|CHECKOUT PORT PROBE`.

CHECKOUT is the folder of another charhost, or of a FastAPI program with `POST /v1/characters/reload`, which uvicorn
serves. A connection to the probe receives, as JSON: the longest gap of the event loop since the last one, in ms, by the
clock and in processor time of the process, which other work on the machine does not change; the memory, in MiB; and the
numbers of descriptors, threads, modules and tasks. It sends a line; after `COLLECT` all garbage is collected first.
"""

import asyncio
import gc
import importlib
import json
import os
import resource
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

COLLECT = b"collect\n"
_TICK = 0.001
_SKIPPED = (".venv", "site-packages", "node_modules", "tests")


def address(probe: int) -> str:
    """Return the abstract address of a probe (unix(7)); the loop of charhost has no other TCP servers than its own."""
    return f"\0charhost-probe-{probe}"


class _Probe:
    def __init__(self, number: int) -> None:
        self._number = number
        self._gap = self._work = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._answer, address(self._number))
        ticking = asyncio.create_task(self._tick())
        yield
        ticking.cancel()
        server.close()

    async def in_app(self, _: object) -> AsyncIterator[None]:
        async with self.running():
            yield

    async def _tick(self) -> None:
        while True:
            self._last, self._worked = time.perf_counter(), time.process_time()
            await asyncio.sleep(_TICK)
            now, work = time.perf_counter(), time.process_time()
            self._gap, self._work = max(self._gap, now - self._last - _TICK), max(self._work, work - self._worked)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline() == COLLECT:
            gc.unfreeze()  # the server looks at frozen objects in quiet moments only
            gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        found = {
            "gap": self._gap * 1000,
            "work": self._work * 1000,
            "memory": pages * 4096 / (1 << 20),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "modules": len(sys.modules),
            "tasks": len(asyncio.all_tasks()),
        }
        writer.write(json.dumps(found).encode())
        self._gap = self._work = 0.0
        self._last, self._worked = time.perf_counter(), time.process_time()  # without this answer
        writer.close()


def main(kind: str, port: int, probe: int) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if kind == "charhost" or Path(kind, "charhost", "web").exists():
        _serve_charhost(port, _Probe(probe))
    elif kind == "naive":
        _serve_naive(port, _Probe(probe))
    else:
        asyncio.run(_serve_checkout(Path(kind), port, _Probe(probe)))


def _serve_charhost(port: int, probe: _Probe) -> None:
    from charhost.settings import Settings

    # An earlier charhost has both functions in one module, and takes no application.
    process: Any = importlib.import_module(
        "charhost.web.serve" if find_spec("charhost.web.serve") else "charhost.web.app"
    )
    create_app = process.create_app

    def create_probed(settings: Settings) -> Any:
        app = create_app(settings)
        app.cleanup_ctx.append(probe.in_app)
        return app

    process.create_app = create_probed
    process.serve(Settings(port=port))


def _serve_naive(port: int, probe: _Probe) -> None:
    from aiohttp import web

    from scripts.benchmarks.beside import naive

    app = naive.create_app()
    app.cleanup_ctx.append(probe.in_app)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


async def _serve_checkout(checkout: Path, port: int, probe: _Probe) -> None:
    import uvicorn

    config = uvicorn.Config(_application(checkout), host="127.0.0.1", port=port, log_level="warning")
    async with probe.running():
        await uvicorn.Server(config).serve()


def _application(checkout: Path) -> Any:
    """Return the application of the first module that has one and names the endpoint."""
    sys.path.insert(0, str(checkout))
    for file in sorted(checkout.rglob("*.py")):
        path = file.relative_to(checkout)
        if not set(_SKIPPED).isdisjoint(path.parts):
            continue
        text = file.read_text(errors="replace")
        if "FastAPI(" in text and "characters/reload" in text:
            module = importlib.import_module(".".join(path.with_suffix("").parts))
            return next(value for value in vars(module).values() if type(value).__name__ == "FastAPI")
    raise SystemExit(f"{checkout} has no module with a FastAPI application and the endpoint /v1/characters/reload")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
