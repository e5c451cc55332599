"""The rows of programs that start: charhost beside ones with the same libraries that only start."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp

from scripts.benchmarks.processes import free_port, interpreter_of, python
from scripts.benchmarks.row import Goal, Rows
from scripts.benchmarks.servers import NOWHERE

_SERVE = ("-m", "charhost", "serve", "--llm-url")
_BARE = ("-m", "scripts.benchmarks.beside.starting")
_URL = ("--url", "http://127.0.0.1:1")
# The arguments of charhost and of the bare program.
_COMMANDS = {
    "charhost --help, ms": (("--help",), ("--help",)),
    "charhost status, ms": (("status", *_URL), _URL),
}


async def add_start_rows(rows: Rows, beside: Path | None = None) -> None:
    """Add a run, also with the charhost of the checkout *beside*."""
    checkouts = {"charhost": None} | ({"beside": beside} if beside is not None else {})
    name, goal = "from start to the first answer, ms", Goal(1.5, "bare")
    for of, checkout in checkouts.items():
        model = "none" if checkout is None else NOWHERE  # as in `serving`
        rows.add(name, goal, of, await _first_answer(*_SERVE, model, "--port", checkout=checkout))
    rows.add(name, goal, "bare", await _first_answer(*_BARE, "server"))
    for name, (ours, theirs) in _COMMANDS.items():
        for of, checkout in checkouts.items():
            rows.add(name, goal, of, await _run("-m", "charhost", *ours, checkout=checkout))
        rows.add(name, goal, "bare", await _run(*_BARE, "command", *theirs))


async def _first_answer(*arguments: str, checkout: Path | None = None) -> float:
    """Return the milliseconds from the start of a server, which is given its port, to its first answer."""
    port = free_port()
    started = time.perf_counter()
    async with python(*arguments, str(port), port=port, checkout=checkout), aiohttp.ClientSession() as client:
        async with client.get(f"http://127.0.0.1:{port}/v1/health") as response:
            await response.read()
        return (time.perf_counter() - started) * 1000


async def _run(*arguments: str, checkout: Path | None = None) -> float:
    """Return the milliseconds that a command takes."""
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(interpreter_of(checkout), *arguments),
        cwd=checkout,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await process.wait()
    return (time.perf_counter() - started) * 1000
