"""The measured servers as the rows see them: reloads by HTTP, and the probe inside."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from scripts.benchmarks import serving as serving_program
from scripts.benchmarks.processes import free_port, processor_clock, python
from scripts.benchmarks.serving import COLLECT, address

PAUSE = 0.4  # seconds between reloads: the old set is freed meanwhile
Clock = Callable[[], float]
NOWHERE = "http://127.0.0.1:1/v1"  # a model that is never asked


@dataclass(frozen=True)
class Server:
    """A measured server, and a client of it; *clock* is the one that durations are measured with."""

    client: aiohttp.ClientSession
    port: int
    probe: int
    clock: Clock

    async def reload(self, directory: Path, **fields: Any) -> float:
        """Return the milliseconds that a reload takes."""
        await asyncio.sleep(PAUSE)
        await self.probed()
        started = self.clock()
        async with self.client.post("/v1/characters/reload", json={"directory": str(directory), **fields}) as response:
            response.raise_for_status()
            await response.read()
        return (self.clock() - started) * 1000

    async def probed(self, *, after_collection: bool = False) -> dict[str, float]:
        """Return the figures of the probe since the last call; `serving.py` describes it."""
        reader, writer = await asyncio.open_unix_connection(address(self.probe))
        writer.write(COLLECT if after_collection else b"\n")
        found: dict[str, float] = json.loads(await reader.read())
        writer.close()
        return found


@asynccontextmanager
async def serving(kind: str, *, by_processor: bool = False, **environment: str) -> AsyncIterator[Server]:
    """Run `charhost`, `naive` or the program in the folder at the absolute path *kind*, with the interpreter it has.

    With *by_processor* its durations are processor time of its process, which other work on the machine changes little.
    *environment* is added to its own.
    """
    port, probe = free_port(), free_port()
    arguments = (kind, str(port), str(probe))
    if os.path.isabs(kind):
        # By its path: the checkout may have benchmarks, too. An earlier charhost has no address `none` of a model.
        running = python(
            serving_program.__file__,
            *arguments,
            port=port,
            checkout=Path(kind),
            environment={"PYTHONPATH": kind, "PYTHONSAFEPATH": "1", "CHARHOST_LLM_URL": NOWHERE, **environment},
        )
    else:
        running = python("-m", "scripts.benchmarks.serving", *arguments, port=port, environment=environment)
    async with (
        running as process,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=0)) as client,
    ):
        own_clock = partial(time.clock_gettime, processor_clock(process.pid))
        yield Server(client, port, probe, own_clock if by_processor else time.perf_counter)
