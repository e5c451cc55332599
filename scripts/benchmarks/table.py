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
from pathlib import Path
from typing import NamedTuple

import aiohttp

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.processes import free_port, python
from scripts.benchmarks.relaying import add_relay_rows
from scripts.benchmarks.reload_rows import add_reload_rows
from scripts.benchmarks.row import Goal, Rows
from scripts.benchmarks.session_rows import add_session_rows


class _Size(NamedTuple):
    """How many characters, sessions and conversations at once are measured."""

    characters: tuple[int, int, int] = (10, 1_000, 10_000)
    sessions: tuple[int, ...] = (1_000, 5_000)
    conversations: int = 100


_QUICK = _Size((10, 200, 1_000), (200,), 20)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="CHECKOUT",
        help="a FastAPI program with /v1/characters/reload, to compare with",
    )
    parser.add_argument(
        "--processor", action="store_true", help="measure reloads in processor time, where the machine does other work"
    )
    parser.add_argument("--quick", action="store_true", help="one run, with fewer characters and sessions")


async def measure(arguments: argparse.Namespace) -> None:
    size = _QUICK if arguments.quick else _Size()
    kinds = {"charhost": "charhost", "naive": "naive"}
    if arguments.reference is not None:
        kinds["reference"] = str(arguments.reference.resolve(strict=True))
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(rows := Rows(), Path(scratch), kinds, arguments.processor)
        for _ in range(1 if arguments.quick else arguments.runs):
            await add_reload_rows(bench, *size.characters)
            for sessions in size.sessions:
                await add_session_rows(bench, sessions)
            await _add_start_rows(rows)
            await add_relay_rows(rows, (1, size.conversations))
    rows.print()
    if arguments.json:
        machine = {"processors": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
        found = {"machine": machine, "rows": [row.as_json for row in rows.values()]}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


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
