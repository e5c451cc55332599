"""Duration of a reload in the manager, and the longest gap that it causes in the event loop."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.report import ReloadRequest
from charhost.settings import Settings
from scripts.benchmarks.measure import Stopwatch, Ticker, character_source, generate, print_table, spread


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--counts", default="10,1000", help="numbers of characters (default: 10,1000)")


async def measure(arguments: argparse.Namespace) -> None:
    """Print durations and loop gaps."""
    ticker = Ticker()
    ticking = asyncio.create_task(ticker.run())
    rows = [row for count in arguments.counts.split(",") for row in await _rows(int(count), arguments.runs, ticker)]
    ticking.cancel()
    print_table(["characters", "reload", "ms", "largest loop gap, ms"], rows)


async def _rows(count: int, runs: int, ticker: Ticker) -> list[list[str]]:
    with tempfile.TemporaryDirectory() as scratch:
        directory = generate(Path(scratch), count)
        cold, same, edited, changed = _Cell(ticker), _Cell(ticker), _Cell(ticker), _Cell(ticker)
        for _ in range(runs):
            await cold.reload(_manager(directory))
        manager = _manager(directory)
        await manager.reload_characters()
        for _ in range(runs):
            await same.reload(manager)
        for run in range(runs):
            (directory / "c00000.py").write_text(character_source(0, f"Edit {run}."))
            await edited.reload(manager)
        await asyncio.sleep(2.1)  # from now on the stats of the files are old enough to be trusted
        await manager.reload_characters()
        for run in range(runs):
            (directory / "c00000.py").write_text(character_source(0, f"Change {run}."))
            await changed.reload(manager, scope="changed")
    cells = {"cold": cold, "all, nothing changed": same, "all, one edited": edited, "changed, one edited": changed}
    return [[str(count), name, spread(cell.times), spread(cell.gaps)] for name, cell in cells.items()]


def _manager(directory: Path) -> CharacterManager:
    return CharacterManager(Settings(directory=directory), Metrics())


class _Cell:
    """The measurements of one kind of reload."""

    def __init__(self, ticker: Ticker) -> None:
        self.times: list[float] = []
        self.gaps: list[float] = []
        self._ticker = ticker

    async def reload(self, manager: CharacterManager, **fields: Any) -> None:
        """Measure one reload."""
        watch = Stopwatch()
        await asyncio.sleep(0.02)  # let the event loop finish the work of the previous reload
        self._ticker.take()
        with watch.running():
            await manager.reload_characters(ReloadRequest(**fields))
        self.times.append(watch.milliseconds)
        await asyncio.sleep(0.002)
        self.gaps.append(self._ticker.take())
