"""CharacterSets: the registry of a server's sets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from charhost.character.character import CharacterSet
from charhost.errors import SetNotFound, StateError
from charhost.loading.character_metrics import Encode
from charhost.metrics import Metrics
from charhost.reload.attempt import Attempt
from charhost.reload.loader_context import LoaderContext
from charhost.reload.manager import CharacterManager
from charhost.reload.queue import stopping
from charhost.reload.request import ReloadRequest
from charhost.reload.set_records import SetDefinition, SetRecords
from charhost.reload.swap import OpenSessions
from charhost.report import DEFAULT_SET, ReloadReport, SessionImpact, SessionPolicy
from charhost.sets.named_set import NamedSet
from charhost.sets.view import SetsView
from charhost.settings import Settings
from charhost.threads.worker_pool import WorkerPool

if TYPE_CHECKING:
    from charhost.fleet.fleet import Fleet

log = logging.getLogger("charhost.reload")

Result = TypeVar("Result")
Listener = Callable[[ReloadReport, CharacterSet], None]
BeginListener = Callable[[Attempt, str], None]


class CharacterSets:
    """Owns the sets by name; `default`, that of `--directory`, is the first. Lives as long as the application.

    They share threads, sessions, metrics and the state file. Each has reloads of its own: a fault in one is not felt
    by another.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        sessions: OpenSessions,
        pool: WorkerPool,
        records: SetRecords,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._sessions = sessions
        self._records = records
        self._listeners: list[tuple[Listener, BeginListener]] = []
        self.fleet: Fleet | None = None
        self._context = LoaderContext(pool, settings.file_deadline)
        self._changes: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loading: set[NamedSet] = set()  # those that are added if a character of theirs loads
        self._is_closing = False
        first = {DEFAULT_SET: settings.directory, **settings.sets}
        definitions = [SetDefinition(name, str(path), settings.watch) for name, path in first.items()]
        self._sets = {one.name: self._make(one, trusts_start=True) for one in definitions}
        self.default = self._sets[DEFAULT_SET]

    def __iter__(self) -> Iterator[NamedSet]:
        return iter(self._sets.values())

    @property
    def files_alive(self) -> int:
        return self._context.files_alive

    def view(self, names: frozenset[str] | None = None) -> SetsView:
        """Return the view of a caller that may use the sets of these *names*; None: all."""
        return SetsView(self._sets, names)

    def listen(self, listener: Listener, begun: BeginListener = lambda attempt, name: None) -> None:
        """Call *listener* with the report of every reload and the characters that serve after it.

        *begun* is called with the attempt, when it begins, and with the name of the set.
        """
        self._listeners.append((listener, begun))

    async def start(self) -> None:
        """Load all sets side by side, also those that were added in the run before."""
        for definition in await self._added():
            if definition.name not in self._sets:
                self._sets[definition.name] = self._make(definition)
        await asyncio.gather(*(named.start(self.fleet) for named in self))

    def watch(self) -> None:
        for named in self:
            named.watch()

    async def unwatch(self) -> None:
        await asyncio.gather(*(named.unwatch() for named in self))

    async def close(self, deadline: float) -> None:
        """Start no further reload and add no set, and wait for running ones for at most *deadline* seconds."""
        self._is_closing = True
        await asyncio.gather(*(named.manager.close(deadline) for named in (*self, *self._loading)))
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=deadline)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def unload(self, deadline: float) -> None:
        """Call `on_unload` of every character for the last time, for at most *deadline* seconds."""
        await self._context.unloading.close(deadline)

    async def collect_metrics(self, encode: Encode) -> bytes:
        """Return the metrics of the characters, as text; a collector that fails is left out and counted."""
        text, failed = await self._context.collect_metrics(encode)
        self._metrics.character_metric_errors.inc(failed)
        return text

    async def put(self, definition: SetDefinition) -> tuple[ReloadReport, bool]:
        """Add a set, or give one another directory; return the report of the load, and whether the set is new.

        A caller that is cancelled does not stop it. Raises the same as `CharacterManager.reload_characters`, and then
        nothing was added or changed; the history of a set that was not added is dropped.
        """
        return await self._own(self._put(definition))

    async def remove(self, name: str, policy: SessionPolicy | None = None, drain: float | None = None) -> SessionImpact:
        """Remove a set, and start to close its sessions; raises `SetNotFound`.

        A caller that is cancelled does not stop it.
        """
        return await self._own(self._remove(name, policy, drain))

    def follow(self, name: str, directory: str) -> CharacterManager:
        """Return the manager of a set that another node of the fleet has added; it is seen once it serves."""
        named = self._make(SetDefinition(name, directory, watch=False))
        self._loading.add(named)

        def serve(report: ReloadReport) -> None:
            if named in self._loading and report.outcome == "applied":
                self._loading.discard(named)
                self._sets[name] = named

        named.manager.listen(serve)
        return named.manager

    async def drop(self, name: str) -> None:
        """Remove a set that the fleet does not have any more."""
        if name in self._sets:
            await self.remove(name)
        for named in [named for named in self._loading if named.name == name]:
            self._loading.discard(named)
            await named.manager.close(0)
            self._metrics.end_set(name)

    async def _own(self, change: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.create_task(change)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _put(self, definition: SetDefinition) -> tuple[ReloadReport, bool]:
        async with self._changing(definition.name):
            if self._is_closing:
                raise stopping()
            named = self._sets.get(definition.name)
            if named is None:
                report, named, is_new = *await self._load(definition), True
            else:
                report, is_new = await self._move(named, definition), False
            await self._recorded(self._records.add(definition), definition.name)
            named.is_watched = definition.watch
            if definition.watch:
                named.watch()
            else:
                await named.unwatch()
            return report, is_new

    async def _load(self, definition: SetDefinition) -> tuple[ReloadReport, NamedSet]:
        named = self._make(definition)
        if self.fleet is not None:
            self.fleet.add(named.manager, begins=False)
        self._loading.add(named)
        try:
            await named.manager.recover()
            report = await named.manager.reload_characters(ReloadRequest(directory="default"))
        except BaseException:
            await self._give_up(named)
            raise
        finally:
            self._loading.discard(named)
        self._sets[definition.name] = named
        return report, named

    async def _give_up(self, named: NamedSet) -> None:
        await named.manager.close(0)
        if self.fleet is not None:
            await self.fleet.remove(named.name)
        self._metrics.end_set(named.name)
        await self._recorded(self._forget(named), named.name)

    async def _forget(self, named: NamedSet) -> None:
        if not await named.manager.store.generations():  # else the history is that of an earlier set of this name
            await self._records.remove(named.name)

    async def _move(self, named: NamedSet, definition: SetDefinition) -> ReloadReport:
        request = ReloadRequest(directory=definition.directory, scope="changed")
        report = await named.manager.reload_characters(request)
        named.manager.start_directory = Path(definition.directory)
        return report

    async def _remove(self, name: str, policy: SessionPolicy | None, drain: float | None) -> SessionImpact:
        async with self._changing(name):
            named = self.view().named(name)
            if self.fleet is not None:
                await self.fleet.withdraw(name)
                await self.fleet.remove(name)
            del self._sets[name]
            impact = named.manager.end_sessions(policy, drain)
            await named.unwatch()
            await named.manager.close(self._settings.shutdown_timeout, lambda: SetNotFound(name))
            named.manager.release()
            self._metrics.end_set(name)
            await self._recorded(self._records.remove(name), name)
            return impact

    def _begun(self, attempt: Attempt, name: str) -> None:
        for _, begun in self._listeners:
            begun(attempt, name)

    def _ended(self, report: ReloadReport, current: CharacterSet) -> None:
        for listener, _ in self._listeners:
            listener(report, current)

    def _changing(self, name: str) -> asyncio.Lock:
        """Return the lock of a name: only one change of each set at a time."""
        return self._changes.setdefault(name, asyncio.Lock())

    async def _added(self) -> tuple[SetDefinition, ...]:
        try:
            return await self._records.added()
        except StateError:
            self._metrics.history_errors.inc()
            log.exception("cannot read the added sets from the state file; starting without them")
            return ()

    async def _recorded(self, record: Awaitable[None], name: str) -> None:
        try:
            await record
        except StateError as e:
            self._metrics.history_errors.inc()
            log.error("the change of the set %s could not be kept, and is lost after a restart: %s", name, e)

    def _make(self, definition: SetDefinition, *, trusts_start: bool = False) -> NamedSet:
        name = definition.name
        character = self._settings.character if name == DEFAULT_SET else None
        update = {"directory": Path(definition.directory), "character": character}
        settings, history = self._settings.model_copy(update=update), self._records.history(name)
        manager = CharacterManager(
            settings, self._metrics, self._sessions, self._context, history, name, trusts_start=trusts_start
        )
        manager.listen(lambda report: self._ended(report, manager.current), lambda attempt: self._begun(attempt, name))
        return NamedSet(manager, settings, self._metrics, is_watched=definition.watch)
