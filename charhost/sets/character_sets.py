"""CharacterSets: the registry of a server's sets."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from charhost.character.character import CharacterSet
from charhost.character.worker_pool import WorkerPool
from charhost.loading.character_metrics import Encode
from charhost.metrics import Metrics
from charhost.reload.loader import LoaderContext
from charhost.reload.manager import CharacterManager
from charhost.reload.set_records import SetRecords
from charhost.reload.swap import OpenSessions
from charhost.report import DEFAULT_SET, ReloadReport
from charhost.sets.named_set import NamedSet
from charhost.settings import Settings

Listener = Callable[[ReloadReport, CharacterSet], None]


class CharacterSets:
    """Owns the sets by name; `default`, that of `--directory`, is the first. Lives as long as the application.

    They share threads, sessions, metrics and the state file. Each has reloads of its own: a fault in one is not felt
    by another. *listener* is called with the report of every reload and with the characters that serve after it.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        sessions: OpenSessions,
        pool: WorkerPool,
        records: SetRecords,
        listener: Listener,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._sessions = sessions
        self._records = records
        self._listener = listener
        self._context = LoaderContext(pool)
        self.default = self._make(DEFAULT_SET, settings.directory)
        self._sets = {DEFAULT_SET: self.default}

    def __iter__(self) -> Iterator[NamedSet]:
        return iter(self._sets.values())

    async def start(self) -> None:
        """Load all sets side by side."""
        await asyncio.gather(*(named.start() for named in self))

    def watch(self) -> None:
        if self._settings.watch:
            for named in self:
                named.watch()

    async def unwatch(self) -> None:
        await asyncio.gather(*(named.unwatch() for named in self))

    async def close(self, deadline: float) -> None:
        """Start no further reload, and wait for the running ones for at most *deadline* seconds."""
        await asyncio.gather(*(named.manager.close(deadline) for named in self))

    async def collect_metrics(self, encode: Encode) -> bytes:
        """Return the metrics of the characters, as text; a collector that fails is left out and counted."""
        text, failed = await self._context.collect_metrics(encode)
        self._metrics.character_metric_errors.inc(failed)
        return text

    def _make(self, name: str, directory: Path) -> NamedSet:
        character = self._settings.character if name == DEFAULT_SET else None
        settings = self._settings.model_copy(update={"directory": directory, "character": character})
        history = self._records.history(name)
        manager = CharacterManager(settings, self._metrics, self._sessions, self._context, history, name)
        manager.listen(lambda report: self._listener(report, manager.current))
        return NamedSet(manager, settings, self._metrics)
