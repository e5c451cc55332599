"""The server that is measured, as its benchmark sees it: a process on a free port."""

from __future__ import annotations

import asyncio
import json
import os
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp

from scripts.benchmarks.processes import free_port, memory, python
from scripts.benchmarks.serving import address
from scripts.benchmarks.voice.engines import Kind

_READY = 60.0


class Server(NamedTuple):
    """A running server."""

    url: str
    probe: int
    process: Process

    @property
    def computed(self) -> float:
        """The seconds that the server has computed, without its children."""
        return time.clock_gettime(~self.process.pid << 3 | 2)  # as clock_getcpuclockid(3) returns it

    @property
    def resident(self) -> int:
        return memory(self.process, "VmRSS")

    @property
    def children_computed(self) -> float:
        """The seconds that the engines on this machine have computed."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [int(pid) for file in tasks for pid in file.read_text().split()]
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in children)

    def use_one_core(self) -> None:
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})

    async def probed(self) -> dict[str, float]:
        """Begin to measure the event loop; called again, return the figures in ms."""
        reader, writer = await asyncio.open_unix_connection(address(self.probe))
        found: dict[str, float] = json.loads(await reader.read())
        writer.close()
        return found

    async def are_engines_up(self) -> bool:
        async with aiohttp.ClientSession() as client, client.get(f"{self.url}/v1/health") as response:
            health = await response.json()
        return bool(health["tts_up"] and health["stt_up"])


@asynccontextmanager
async def serving(kind: Kind, directory: Path) -> AsyncIterator[Server]:
    port, probe = free_port(), free_port()
    arguments = ("-m", "scripts.benchmarks.voice.server", kind, str(directory), str(port), str(probe))
    async with python(*arguments, port=port) as process:
        server = Server(f"http://127.0.0.1:{port}", probe, process)
        async with asyncio.timeout(_READY):
            while kind not in ("off", "bare") and not await server.are_engines_up():
                await asyncio.sleep(0.2)
        yield server
