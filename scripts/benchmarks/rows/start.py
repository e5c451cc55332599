"""The rows of programs that start: charhost beside ones with the same libraries that only start."""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path

import aiohttp

from scripts.benchmarks.processes import free_port, interpreter_of, processor_clock, python
from scripts.benchmarks.row import Goal
from scripts.benchmarks.rows.bench import Bench
from scripts.benchmarks.servers import NOWHERE

_SERVE = ("-m", "charhost", "serve", "--llm-url")
_BARE = ("-m", "scripts.benchmarks.beside.starting")
_URL = ("--url", "http://127.0.0.1:1")
# The arguments of charhost and of the bare program.
_COMMANDS = {
    "charhost --help, ms": (("--help",), ("--help",)),
    "charhost status, ms": (("status", *_URL), _URL),
}


async def add_start_rows(bench: Bench) -> None:
    checkouts = {kind: None if kind == "charhost" else Path(bench.kinds[kind]) for kind in bench.charhosts}
    name, goal = "from start to the first answer, ms", Goal(1.5, "bare")
    for of, checkout in checkouts.items():
        model = NOWHERE if checkout else "none"  # as in `serving`
        bench.rows.add(name, goal, of, await _first_answer(bench, *_SERVE, model, "--port", checkout=checkout))
    bench.rows.add(name, goal, "bare", await _first_answer(bench, *_BARE, "server"))
    for name, (ours, theirs) in _COMMANDS.items():
        for of, checkout in checkouts.items():
            bench.rows.add(name, goal, of, await _run(bench, "-m", "charhost", *ours, checkout=checkout))
        bench.rows.add(name, goal, "bare", await _run(bench, *_BARE, "command", *theirs))


async def _first_answer(bench: Bench, *arguments: str, checkout: Path | None = None) -> float:
    """Return the milliseconds from the start of a server, which is given its port, to its first answer."""
    port = free_port()
    started = time.perf_counter()
    async with python(*arguments, str(port), port=port, checkout=checkout) as process:
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/v1/health") as response:
            await response.read()
        passed = time.perf_counter() - started
        return 1000 * (time.clock_gettime(processor_clock(process.pid)) if bench.by_processor else passed)


async def _run(bench: Bench, *arguments: str, checkout: Path | None = None) -> float:
    """Return the milliseconds that a command takes."""
    started, worked = time.perf_counter(), _work_of_children()
    process = await asyncio.create_subprocess_exec(
        *(interpreter_of(checkout), *arguments),
        cwd=checkout,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await process.wait()
    return 1000 * (_work_of_children() - worked if bench.by_processor else time.perf_counter() - started)


def _work_of_children() -> float:
    """Return the seconds of processor time that all children took which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
