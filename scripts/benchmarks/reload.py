"""Duration of a reload in the manager, and the longest gap that it causes in the event loop."""

import argparse
import asyncio
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from scripts.benchmarks.measure import character_source, generate, print_table, spread


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", default="10,1000", help="numbers of characters (default: 10,1000)")


async def measure(arguments: argparse.Namespace) -> None:
    rows = [row for count in arguments.counts.split(",") for row in await _rows(int(count), arguments.runs)]
    print_table(["characters", "reload", "ms", "largest loop gap, ms"], rows)


async def _rows(count: int, runs: int) -> list[list[str]]:
    with tempfile.TemporaryDirectory() as scratch:
        directory = generate(Path(scratch), count)
        settings = Settings(directory=directory)
        cells = {"cold": [await _reload(CharacterManager(settings, Metrics())) for _ in range(runs)]}
        manager = CharacterManager(settings, Metrics())
        await manager.reload_characters()
        cells["all, nothing changed"] = [await _reload(manager) for _ in range(runs)]
        cells["all, one edited"] = [await _edit_and_reload(manager, f"Edit {run}.") for run in range(runs)]
        await asyncio.sleep(2.1)  # from now on the stats of the files are old enough to be trusted
        await manager.reload_characters()
        cells["changed, one edited"] = [
            await _edit_and_reload(manager, f"Change {run}.", scope="changed") for run in range(runs)
        ]
    return [[str(count), name, *map(spread, zip(*cell, strict=True))] for name, cell in cells.items()]


async def _edit_and_reload(manager: CharacterManager, text: str, **fields: Any) -> tuple[float, float]:
    (Path(manager.current.directory) / "c00000.py").write_text(character_source(0, text))
    return await _reload(manager, **fields)


async def _reload(manager: CharacterManager, **fields: Any) -> tuple[float, float]:
    """Return the milliseconds that a reload takes, and those of the longest gap between two turns of the event loop."""
    ticks: list[float] = []
    ticking = asyncio.create_task(_tick(ticks))
    await asyncio.sleep(0.02)  # let the event loop finish the work of the previous reload
    del ticks[:-1]
    started = time.perf_counter()
    await manager.reload_characters(ReloadRequest(**fields))
    duration = time.perf_counter() - started
    await asyncio.sleep(0.002)
    ticking.cancel()
    return duration * 1000, max(after - before for before, after in pairwise(ticks)) * 1000 - 1


async def _tick(ticks: list[float]) -> None:
    while True:
        ticks.append(time.perf_counter())
        await asyncio.sleep(0.001)
