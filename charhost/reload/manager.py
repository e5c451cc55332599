"""The owner of the current character set."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from charhost.character.character import CharacterSet
from charhost.errors import (
    LoadTimeout,
    NotAttempted,
    ReloadCode,
    ReloadFailed,
    ReloadRefused,
    ReloadRejected,
    RevisionMismatch,
    Withheld,
)
from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Snapshot
from charhost.loading.stored_set import StoredSet
from charhost.metrics import Metrics
from charhost.reload.attempt import Attempt, Consent, FromHistory, Order, Source
from charhost.reload.loader import Loader
from charhost.reload.loader_context import LoaderContext
from charhost.reload.messages import GIVEN_UP, count, none_loaded, not_all_loaded, why_refused, write_log
from charhost.reload.queue import ReloadQueue, stopping
from charhost.reload.request import ReloadRequest
from charhost.reload.store import Generations, MemoryStore, Store
from charhost.reload.swap import NoSessions, OpenSessions, Swap, notify
from charhost.report import (
    DEFAULT_SET,
    LeftRunning,
    Outcome,
    ReloadReport,
    Serving,
    SessionImpact,
    SessionPolicy,
    Trigger,
)
from charhost.settings import Settings

Listener = Callable[[ReloadReport], None]
BeginListener = Callable[[Attempt], None]

log = logging.getLogger("charhost.reload")
_DEFAULTS = ReloadRequest()


class CharacterManager:
    """Owns the current characters of one set, which only it assigns; *name* is that of the set.

    All that can fail in a reload happens before the set is replaced. "default" means `start_directory`, which need not
    be below an allowed root with *trusts_start*.
    `applied` is the disk as it was when the current set was last equal to it, or was restored; None if it could not be
    read. `is_restored`: from stored bytes. `home` is the directory that was read last. All reloads but the first need
    *consent*, if there is one. `last_reload` and, with an error, `last_error` are the last real reload's.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        sessions: OpenSessions | None = None,
        context: LoaderContext | None = None,
        store: Store | None = None,
        name: str = DEFAULT_SET,
        *,
        trusts_start: bool = True,
    ) -> None:
        self.name = name
        self.start_directory = settings.directory
        self._settings = settings
        self._metrics = metrics
        self._sessions = NoSessions() if sessions is None else sessions
        self._generations = Generations(MemoryStore() if store is None else store, metrics)
        self.store = self._generations.store
        context = context or LoaderContext(unload_deadline=settings.file_deadline)
        self._loader = Loader(settings, context, name, trusts_start=trusts_start)
        self._current = CharacterSet(str(settings.directory))
        self.applied: Snapshot | None = None
        self.is_restored = False
        self.home = str(settings.directory)
        self.consent: Consent | None = None
        self.last_reload: ReloadReport | None = None
        self.last_error: ReloadReport | None = None
        self._published: ModuleSpace | None = None
        self._queue = ReloadQueue(self._run)
        self._listeners: list[Listener] = []
        self._begun_listeners: list[BeginListener] = []
        context.show_in(metrics)

    @property
    def current(self) -> CharacterSet:
        return self._current

    @property
    def serving(self) -> Serving:
        current = self._current
        return Serving(generation=current.generation, revision=current.revision, characters=len(current))

    @property
    def disk(self) -> Snapshot | None:
        """The directory as it was when it was last read."""
        latest = self._loader.latest
        return latest if latest and latest.directory == Path(self.home) else self.applied

    @property
    def left_running(self) -> tuple[LeftRunning, ...]:
        return self._loader.left_running

    @property
    def running(self) -> Attempt | None:
        return self._queue.running

    def listen(self, listener: Listener, begun: BeginListener = lambda _: None) -> None:
        """Call *listener* with the report of every reload, whatever its outcome, and *begun* when one begins."""
        self._listeners.append(listener)
        self._begun_listeners.append(begun)

    def ignore(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    async def recover(self) -> None:
        await self._generations.recover()

    async def start(self) -> ReloadReport:
        """Load the first set: that of the start directory or, with `resume_set`, the last set of the run before.

        The last set is restored from its stored bytes, unless its directory has changed since and can be loaded.
        Raises the same as `reload_characters`.
        """
        await self.recover()
        former = self._generations.former
        if former is not None and self._settings.resume_set:
            try:
                return await self._resume(former)
            except (NotAttempted, ReloadRejected) as e:
                log.warning("cannot resume the last set: %s", e)
        return await self.reload_characters(ReloadRequest(directory="default"), trigger="startup")

    async def reload_characters(
        self,
        request: ReloadRequest = _DEFAULTS,
        source: Source = None,
        *,
        trigger: Trigger = "http",
        etags: tuple[str, ...] | None = None,
        consent: Consent | None = None,
    ) -> ReloadReport:
        """Replace the set; the one path of every reload, start-up included.

        With *etags* one of these sets has to be current when the reload's turn comes. A caller that is cancelled does
        not stop the reload. Raises `ReloadRejected`, which carries the report, when a reload is refused, `NotAttempted`
        when a condition of it does not hold, and `Stopping` during shutdown.
        """
        return await asyncio.shield(self._queue.add(Order(request, trigger, source, etags, consent)))

    async def look(self, *, trust_stats: bool = True) -> Snapshot:
        """Read the directory from the disk; raises `DirectoryError` and `LoadTimeout`."""
        return await self._loader.snapshot(Path(self.home), trust_stats=trust_stats)

    def end_sessions(self, policy: SessionPolicy | None = None, drain: float | None = None) -> SessionImpact:
        """Start to close the sessions of the set, which was removed, by *policy*; None: that of the settings."""
        request = ReloadRequest(sessions=policy, drain_seconds=drain)
        swap = replace(self._swap_to(CharacterSet(self._current.directory), request), removes=True)
        impact = self._sessions.impact(swap)
        self._sessions.follow(swap)
        return impact

    def release(self) -> None:
        """Hold no character of the set, which was removed and is closed: they are unloaded."""
        self._current, self._published = CharacterSet(self._current.directory), None

    async def close(self, deadline: float, refusal: Callable[[], ReloadRefused] = stopping) -> None:
        """Have reloads that wait raise *refusal*, and the running one too after *deadline* seconds."""
        await self._queue.close(deadline, refusal)
        await self._loader.close()

    async def _resume(self, former: StoredSet) -> ReloadReport:
        if former.directory != str(self._settings.directory):
            log.info("not reading %s: resuming the last set, from %s", self._settings.directory, former.directory)
        disk = await self._loader.snapshot_if_readable(Path(former.directory))
        if disk is not None and disk.disk_revision != former.disk:
            with suppress(ReloadRejected):
                return await self.reload_characters(ReloadRequest(directory=former.directory), disk, trigger="startup")
        return await self.reload_characters(source=FromHistory(former.generation), trigger="startup")

    async def _run(self, attempt: Attempt) -> ReloadReport:
        request, etags, current = attempt.order.request, attempt.order.etags, self._current
        if etags is not None and current.etag not in etags:
            raise RevisionMismatch(f'The current set is "{current.etag}", not the one in If-Match.')
        named = str(self.start_directory) if request.directory == "default" else request.directory
        attempt.directory, attempt.home = named or self.home, Path(self.home)
        isolate = self._settings.check_isolated if request.check_isolated is None else request.check_isolated
        try:
            async with asyncio.timeout(self._settings.load_deadline):
                await attempt.find(self._generations, current)
                for listener in self._begun_listeners:
                    listener(attempt)
                characters = await attempt.run(self._loader, self._generations, current, self.applied, isolate)
        except NotAttempted:
            raise
        except asyncio.CancelledError as e:  # by the queue, at the deadline of a shutdown or of a removal
            self._give_up(attempt, e)
            raise
        except (Exception, LoadTimeout) as e:
            code, text = why_refused(e, attempt.directory, self._settings.load_deadline)
            if code is ReloadCode.INTERNAL_ERROR:
                log.exception("a reload of the characters in %s failed unexpectedly", attempt.directory)
            await self._refuse(attempt, code, text)
        try:
            return await self._conclude(attempt, characters)
        except Withheld as e:
            await self._refuse(attempt, e.code, str(e))
        except (NotAttempted, asyncio.CancelledError) as e:  # other nodes decided so, or a shutdown
            self._give_up(attempt, e)
            raise

    async def _conclude(self, attempt: Attempt, characters: CharacterSet) -> ReloadReport:
        request, directory, errors = attempt.order.request, attempt.directory, attempt.build.errors
        if not characters:
            await self._refuse(attempt, ReloadCode.NO_CHARACTERS, none_loaded(directory, len(errors)))
        if errors and request.on_error == "abort":
            await self._refuse(attempt, ReloadCode.SET_REJECTED, not_all_loaded(directory, len(errors)))
        swap = self._swap_to(characters, request)
        if swap.is_empty and not attempt.order.is_foreign:
            return await self._keep(attempt)
        consent = attempt.order.consent or (self.consent if attempt.order.trigger != "startup" else None)
        if consent is not None:
            swap = await attempt.agreed(consent, swap)
        if request.dry_run:
            text = f"{count(len(characters), 'character')} would be loaded from {directory}"
            return await self._finish(attempt, "valid", text, swap, self._sessions.impact(swap))
        return await self._swap(attempt, swap, consent)

    async def _swap(self, attempt: Attempt, swap: Swap, consent: Consent | None) -> ReloadReport:
        impact = self._sessions.impact(swap)
        self._current = swap.after  # the one assignment: nothing before it is visible, nothing after it may fail
        self.applied = attempt.snapshot
        self.is_restored = attempt.stored is not None
        if not attempt.order.is_foreign:
            self.home = attempt.directory
        attempt.build.take()
        if attempt.build.space is not None and self.name == DEFAULT_SET:  # a computed import cannot name another
            self._published = attempt.build.space
            self._published.publish()
        notify(self._sessions, swap)
        attempt.clock.lap("swap")
        if consent is not None:
            await attempt.confirmed(consent)
        return await self._finish(attempt, "applied", attempt.success, swap, impact)

    async def _keep(self, attempt: Attempt) -> ReloadReport:
        if not attempt.order.request.dry_run:
            self.applied = attempt.snapshot
            self.is_restored = False
        text = f"No changes in {attempt.directory}; {count(len(self._current), 'character')} still serving"
        return await self._report_no_change(attempt, "unchanged", text)

    async def _refuse(self, attempt: Attempt, code: ReloadCode, message: str) -> NoReturn:
        if code.is_server_fault:
            raise ReloadFailed(code, await self._report_no_change(attempt, "failed", message)) from None
        raise ReloadRejected(code, await self._report_no_change(attempt, "rejected", message)) from None

    def _give_up(self, attempt: Attempt, cause: BaseException) -> None:
        """Report to the listeners that an attempt which began has ended; it changed nothing, and is not recorded."""
        swap, text = self._swap_to(self._current, attempt.order.request), str(cause) or GIVEN_UP
        report = attempt.report(self.name, "failed", text, swap, SessionImpact(policy=swap.policy), self.serving)
        write_log(report, is_fault=not isinstance(cause, NotAttempted))
        for listener in self._listeners:
            listener(report)

    async def _report_no_change(self, attempt: Attempt, outcome: Outcome, message: str) -> ReloadReport:
        swap = self._swap_to(self._current, attempt.order.request)
        impact = SessionImpact(policy=swap.policy, total=self._sessions.impact(swap).total)
        return await self._finish(attempt, outcome, message, swap, impact)

    def _swap_to(self, characters: CharacterSet, request: ReloadRequest) -> Swap:
        drain = self._settings.drain if request.drain_seconds is None else request.drain_seconds
        return Swap(self._current, characters, request.sessions or self._settings.sessions, drain, self.name)

    async def _finish(
        self, attempt: Attempt, outcome: Outcome, message: str, swap: Swap, impact: SessionImpact
    ) -> ReloadReport:
        report = attempt.report(self.name, outcome, message, swap, impact, self.serving)
        # Under `keep` a failed file means that an old version still serves: the operator has to know.
        is_healthy = report.success and not (attempt.order.request.on_error == "keep" and report.errors)
        self._metrics.record(report, attempt.build.executed, is_healthy)
        write_log(report)
        if not report.dry_run:
            self.last_reload = report
            self.last_error = report if report.errors or not report.success else None
        for listener in self._listeners:
            listener(report)
        await self._generations.record(report, self._current, self.applied)
        return report
