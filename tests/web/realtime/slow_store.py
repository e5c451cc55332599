"""A store that delays a reload, and clients of another origin."""

from __future__ import annotations

import asyncio

from charhost.loading.stored_set import StoredSet
from charhost.reload.store import MemoryStore
from charhost.report import ReloadReport
from charhost.web.keys import SETS
from tests.conftest import Client
from tests.web.realtime.server import until

FOREIGN = {"Origin": "http://localhost:3000"}  # a page that may talk, and is no admin's


class SlowStore(MemoryStore):
    """Records an attempt only when `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def record(self, report: ReloadReport, applied: StoredSet | None) -> None:
        self.asked.set()
        await self.go.wait()
        await super().record(report, applied)


def slowed(client: Client) -> SlowStore:
    """Give the server such a store."""
    client.app[SETS].default.manager._generations.store = store = SlowStore()
    return store


async def generation(client: Client, number: int) -> None:
    """Wait until that generation serves."""
    await until(lambda: client.app[SETS].default.manager.current.generation == number)
