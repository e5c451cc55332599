"""NamedSet: one character set of a server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from charhost.character.character import Character
from charhost.errors import ReloadRejected
from charhost.metrics import Metrics
from charhost.reload.attempt import FromHistory
from charhost.reload.manager import CharacterManager
from charhost.report import DEFAULT_SET
from charhost.settings import Settings
from charhost.watch.watcher import Watcher

if TYPE_CHECKING:
    from charhost.fleet.fleet import Fleet

log = logging.getLogger("charhost.reload")


class NamedSet:
    """A set: its manager, which has its history, and its watcher while it runs."""

    def __init__(
        self, manager: CharacterManager, settings: Settings, metrics: Metrics, *, is_watched: bool = False
    ) -> None:
        self.name = manager.name
        self.manager = manager
        self.is_watched = is_watched
        self.watcher: Watcher | None = None
        self._settings = settings
        self._metrics = metrics
        self._watching: asyncio.Task[None] | None = None

    @property
    def default_character(self) -> Character | None:
        return self.manager.current.default(self._settings.character)

    async def start(self, fleet: Fleet | None = None) -> None:
        """Load the first characters, or those of *fleet*; a directory that cannot be loaded leaves the set empty."""
        try:
            if fleet is None:
                await self.manager.start()
            else:
                await self._join(fleet)
        except ReloadRejected as e:
            which = "character" if self.name == DEFAULT_SET else f"character of {self.name}"
            log.warning("no %s is served until a reload succeeds: %s", which, e.report.message)

    async def _join(self, fleet: Fleet) -> None:
        """Wait for the set of the fleet; without its engine serve the last set of the run before, if it was kept."""
        await self.manager.recover()
        fleet.add(self.manager)
        if await fleet.join(self.name, self._settings.load_deadline) or fleet.trouble is None:
            return
        if kept := await self.manager.store.generations():
            await self.manager.reload_characters(source=FromHistory(kept[0]), trigger="startup")

    def watch(self) -> None:
        """Start the watcher if the set is to be watched."""
        if self.is_watched and self.watcher is None:
            self.watcher = Watcher(self.manager, self._settings, self._metrics)
            self._metrics.gauge("watcher_up", self.name, 0)
            self._watching = asyncio.create_task(self.watcher.run())

    async def unwatch(self) -> None:
        watching, self.watcher, self._watching = self._watching, None, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self._metrics.end_watcher(self.name)
