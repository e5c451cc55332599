"""A manager with a running watcher, and the wait for its results."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from charhost.errors import ReloadRejected
from charhost.loading.fingerprint import fingerprints
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.report import ReloadReport
from charhost.settings import Settings
from charhost.text import display
from charhost.watch.watcher import Watcher
from tests.conftest import character

PATIENCE = 180.0
LIMITS = Limits(files=20_000, bytes=64 << 20, file_bytes=1 << 20)


def using(name: str, helper: str) -> str:
    """Return the source of a character whose prompt is `WORDS` of a helper, or "nothing" if that is missing."""
    attempt = f"try:\n    from characters.{helper} import WORDS\nexcept ImportError:\n    WORDS = 'nothing'\n"
    return f"{attempt}{character(name)}\nINSTRUCTIONS = {{'text': WORDS}}\n"


def on_disk(directory: Path) -> dict[str, str]:
    """Return the fingerprint of each character file in a directory of files that all load."""
    found = fingerprints(take_snapshot(directory, LIMITS))
    return {display(path): fingerprint for path, fingerprint in found.items()}


async def eventually(fact: Callable[[], object]) -> None:
    """Wait until a condition holds that no report announces."""
    async with asyncio.timeout(PATIENCE):
        while not fact():
            await asyncio.sleep(0.005)


class Watched:
    """A manager with a running watcher, and the reports of the reloads since it began to watch."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.directory = directory
        self.metrics = Metrics()
        self.manager = CharacterManager(settings, self.metrics)
        self.watcher = Watcher(self.manager, settings, self.metrics)
        self.reports: asyncio.Queue[ReloadReport] = asyncio.Queue()

    def served(self) -> dict[str, str]:
        """Return the fingerprint of each file of the current set."""
        return {one.file: one.fingerprint for one in self.manager.current.values()}

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a metric of the watcher."""
        return self.metrics.registry.get_sample_value(f"charhost_{name}", labels) or 0.0

    def compared(self, result: str = "unchanged") -> float:
        """Return how many comparisons had *result*."""
        return self.value("watcher_reconciles_total", result=result)

    async def report(self) -> ReloadReport:
        """Wait for the next reload."""
        return await asyncio.wait_for(self.reports.get(), PATIENCE)

    async def equal(self, directory: Path | None = None) -> None:
        """Wait until the current set equals the files on the disk."""
        directory = directory or self.directory
        async with asyncio.timeout(PATIENCE):
            while (self.manager.current.directory, self.served()) != (str(directory), on_disk(directory)):
                await self.reports.get()

    async def armed(self) -> None:
        """Wait until events arrive."""
        await eventually(lambda: self.watcher.status.up and self.watcher.status.last_event)
        unchanged = self.compared()
        (self.directory / "notes.txt").unlink(missing_ok=True)
        os.utime(self.directory / "ada.py")
        await eventually(lambda: self.compared() > unchanged)


@asynccontextmanager
async def watching(directory: Path, **options: Any) -> AsyncIterator[Watched]:
    """Watch *directory* while the block runs, as the application does."""
    watched = Watched(directory, Settings(directory=directory, watch=True, **options))
    with suppress(ReloadRejected):
        await watched.manager.reload_characters(trigger="startup")
    watched.manager.listen(watched.reports.put_nowait)
    task = asyncio.create_task(watched.watcher.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
