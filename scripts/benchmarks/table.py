"""Print how fast charhost is beside a naive server, a bare relay and the floor, in turn, with goals and verdicts."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from scripts.benchmarks.floor import Floor
from scripts.benchmarks.measure import character_source, generate
from scripts.benchmarks.processes import free_port, python
from scripts.benchmarks.relaying import add_relay_rows
from scripts.benchmarks.row import Goal, Rows

_SETTLED = 2.2  # seconds after which the stats of files are trusted
_PAUSE = 0.4  # seconds between reloads: the old set is freed meanwhile
_numbers = count()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    parser.add_argument("--quick", action="store_true", help="one run, with fewer characters and sessions")


async def measure(arguments: argparse.Namespace) -> None:
    rows = Rows()
    many = 200 if arguments.quick else 1000
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(1 if arguments.quick else arguments.runs):
            for size in (10, many):
                await _add_reload_rows(rows, Path(scratch), size)
            await _add_session_rows(rows, Path(scratch), many)
            await _add_start_rows(rows)
            await add_relay_rows(rows, 20 if arguments.quick else 100)
    rows.print()
    if arguments.json:
        machine = {"processors": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
        found = {"machine": machine, "rows": [row.as_json for row in rows.values()]}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


class _Server(NamedTuple):
    """A measured server, and a client of it."""

    client: aiohttp.ClientSession
    url: str
    probe: int

    async def reload(self, directory: Path, **fields: Any) -> float:
        """Return the milliseconds that a reload takes."""
        await asyncio.sleep(_PAUSE)
        await self.probed()
        started = time.perf_counter()
        async with self.client.post(
            f"{self.url}/v1/characters/reload", json={"directory": str(directory), **fields}
        ) as response:
            response.raise_for_status()
            await response.read()
        return (time.perf_counter() - started) * 1000

    async def probed(self) -> dict[str, float]:
        """Return the longest gap of the event loop since the last call, and the memory."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.probe)
        found: dict[str, float] = json.loads(await reader.read())
        writer.close()
        return found


@asynccontextmanager
async def _serving(kind: str) -> AsyncIterator[_Server]:
    port, probe = free_port(), free_port()
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        python("-m", "scripts.benchmarks.serving", kind, str(port), str(probe), port=port),
        aiohttp.ClientSession(connector=connector) as client,
    ):
        yield _Server(client, f"http://127.0.0.1:{port}", probe)


async def _add_reload_rows(rows: Rows, scratch: Path, size: int) -> None:
    directory = generate(scratch / f"{size}-{next(_numbers)}", size)
    other = generate(scratch / f"other-{next(_numbers)}", 1)
    floor = Floor(directory)
    few = size == 10
    first, again = (Goal(1, "naive"), Goal(0.5, "naive")) if few else (Goal(1.4, "floor"), Goal(3.5, "floor"))
    rows.add(f"first load of {size}, ms", first, "floor", floor.first())
    rows.add(f"again {size}, ms", again, "floor", floor.again())
    rows.add(f"back to {size}, ms", again, "floor", floor.again())
    for kind in ("charhost", "naive"):
        async with _serving(kind) as server:
            if kind == "charhost" and few:
                rows.add("memory idle, MiB", Goal(45), kind, (await server.probed())["memory"])
            rows.add(f"first load of {size}, ms", first, kind, await server.reload(directory))
            gap, memory = (await server.probed()).values()
            if not few:
                rows.add(f"loop gap, first load of {size}, ms", Goal(10), kind, gap)
                rows.add(f"memory after loading {size}, MiB", Goal(70), kind, memory)
            rows.add(f"again {size}, ms", again, kind, await server.reload(directory))
            await asyncio.sleep(_PAUSE)
            if not few:
                rows.add(f"loop gap, again {size}, ms", Goal(15), kind, (await server.probed())["gap"])
            await server.reload(other)
            rows.add(f"back to {size}, ms", again, kind, await server.reload(directory))
            if kind == "charhost" and not few:
                await _add_changed_row(rows, server, directory, floor, size)


async def _add_changed_row(rows: Rows, server: _Server, directory: Path, floor: Floor, size: int) -> None:
    name, goal = f"changed, one of {size}, ms", Goal(2, "scan")
    await asyncio.sleep(_SETTLED)
    await server.reload(directory)
    (directory / "c00000.py").write_text(character_source(0, f"Edit {next(_numbers)}."))
    rows.add(name, goal, "charhost", await server.reload(directory, scope="changed"))
    rows.add(name, goal, "scan", floor.scan())


async def _add_session_rows(rows: Rows, scratch: Path, sessions: int) -> None:
    directory = generate(scratch / f"sessions-{next(_numbers)}", 1)
    for kind in ("charhost", "naive"):
        async with _serving(kind) as server:
            await server.reload(directory)
            url = f"{server.url}/v1/realtime"
            sockets = [await server.client.ws_connect(url, protocols=("realtime",)) for _ in range(sessions)]
            closing = [asyncio.create_task(_closed(socket)) for socket in sockets]
            posted = await server.reload(directory)
            began = time.perf_counter() - posted / 1000
            last = max(await asyncio.gather(*closing))
            gap = (await server.probed())["gap"]
            rows.add(f"{sessions} sessions closed, the last, ms", Goal(1, "naive"), kind, (last - began) * 1000)
            rows.add(f"POST with {sessions} sessions, ms", Goal(50), kind, posted)
            rows.add(f"loop gap, closing {sessions} sessions, ms", Goal(50), kind, gap)


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> float:
    """Return when the close frame arrived."""
    async for _ in socket:
        pass
    return time.perf_counter()


_NOWHERE = ("--url", "http://127.0.0.1:1")


async def _add_start_rows(rows: Rows) -> None:
    for of, arguments in (
        ("charhost", ("-m", "charhost", "serve", "--llm-url", "none", "--port")),
        ("bare", ("-m", "scripts.benchmarks.starting", "server")),
    ):
        port = free_port()
        started = time.perf_counter()
        async with python(*arguments, str(port), port=port), aiohttp.ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/v1/health") as response:
                await response.read()
            ready = (time.perf_counter() - started) * 1000
            rows.add("from start to the first answer, ms", Goal(1.5, "bare"), of, ready)
    bare = ("-m", "scripts.benchmarks.starting", "command")
    for row, ours, theirs in (
        ("charhost --help, ms", ("--help",), ("--help",)),
        ("charhost status, ms", ("status", *_NOWHERE), _NOWHERE),
    ):
        rows.add(row, Goal(1.5, "bare"), "charhost", await _run("-m", "charhost", *ours))
        rows.add(row, Goal(1.5, "bare"), "bare", await _run(*bare, *theirs))


async def _run(*arguments: str) -> float:
    """Return the milliseconds that a command takes."""
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    await process.wait()
    return (time.perf_counter() - started) * 1000
