"""CharacterManager: the current set, and the one path of every reload."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, Protocol

from charhost.character.character import CharacterSet
from charhost.character.worker_pool import Crew
from charhost.errors import (
    CharhostError,
    DirectoryError,
    IsolatedLoadFailed,
    LoadTimeout,
    NotAttempted,
    ReloadFailed,
    ReloadRejected,
    RevisionMismatch,
    Stopping,
)
from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Snapshot
from charhost.loading.stored_set import StoredSet
from charhost.metrics import Metrics
from charhost.reload.attempt import Attempt, Conditions
from charhost.reload.generations import Generations
from charhost.reload.loader import Basis, Build, Loader
from charhost.reload.messages import count, crashed, nothing_loaded, was_loaded, was_restored, was_unchanged, write_log
from charhost.reload.store import MemoryStore, Store
from charhost.reload.swap import Swap
from charhost.report import Outcome, ReloadReport, ReloadRequest, Serving, SessionImpact, Trigger
from charhost.settings import Settings

log = logging.getLogger("charhost.reload")

# Seconds that a rollback waits for the disk, which it does not need.
_PEEK = 5.0


class Audience(Protocol):
    """Those who talk to the characters, as the manager sees them."""

    def impact(self, swap: Swap) -> SessionImpact:
        """Say what *swap* means, or would mean, for the sessions."""

    def follow(self, swap: Swap) -> None:
        """Begin to tell the sessions; called at the swap, so it must not wait for any of them."""


class CharacterManager:
    """Owns the current character set; nobody else assigns it. Lives as long as the application.

    Reloads run one after the other, in the order in which they were asked for. Everything that can fail in one
    happens before the set is replaced, so there is nothing to undo.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        audience: Audience | None = None,
        crew: Crew | None = None,
        store: Store | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._audience = _Nobody() if audience is None else audience
        self._generations = Generations(MemoryStore() if store is None else store, metrics)
        crew = crew or Crew()
        self._loader = Loader(settings, crew)
        self._current = CharacterSet(str(settings.directory))
        self._applied: Snapshot | None = None
        self._published: ModuleSpace | None = None
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[ReloadReport]] = set()
        self._last_in_line: tuple[object, asyncio.Task[ReloadReport]] | None = None
        self._closing = False
        self._listeners: list[Callable[[ReloadReport], None]] = []
        self._is_restored = False
        self.running: Attempt | None = None
        self.last_reload: ReloadReport | None = None
        self.last_error: ReloadReport | None = None
        metrics.watch(metrics.builds_alive, lambda: self._loader.builds_alive)
        metrics.watch(metrics.threads_stuck, lambda: crew.stuck)

    @property
    def current(self) -> CharacterSet:
        """The set that serves now: complete, and never changed again."""
        return self._current

    @property
    def serving(self) -> Serving:
        """The current set as a report names it."""
        current = self._current
        return Serving(generation=current.generation, revision=current.revision, characters=len(current))

    @property
    def store(self) -> Store:
        """The history of what was attempted."""
        return self._generations.store

    @property
    def applied(self) -> Snapshot | None:
        """The disk as it was when the current set was last found to be what it holds, or was rolled back to.

        None if a rollback found nothing to read.
        """
        return self._applied

    @property
    def is_restored(self) -> bool:
        """Whether the current set was made of stored bytes, and the disk has something else."""
        return self._is_restored

    def listen(self, listener: Callable[[ReloadReport], None]) -> None:
        """Call *listener* with the report of every reload, whatever its outcome."""
        self._listeners.append(listener)

    async def start(self) -> ReloadReport:
        """Load the first set: the start directory or, with `resume_set`, what served when the server was last ended.

        That is made of its stored bytes, as it was, unless its directory can be loaded and has changed since. Raises
        what `reload_characters` raises.
        """
        await self._generations.recover()
        former = self._generations.former
        if former is not None and self._settings.resume_set:
            try:
                return await self._resume(former)
            except (NotAttempted, ReloadRejected) as e:
                log.warning("the set that served last cannot be resumed: %s", e)
        return await self.reload_characters(trigger="startup", directory="default")

    async def reload_characters(
        self,
        *,
        trigger: Trigger = "http",
        snapshot: Snapshot | None = None,
        etags: tuple[str, ...] | None = None,
        generation: int | None = None,
        **fields: Any,
    ) -> ReloadReport:
        """Replace the set as the fields of `ReloadRequest` say; the one path of every reload, start-up included.

        With a *snapshot* of the directory the disk is not read again. With *etags* one of these sets has to serve when
        the turn of the reload has come. With a *generation* it makes the characters of that one again from what the
        store has of them; a *trigger* `rollback` without one means the generation before the current.

        A caller that is cancelled does not stop the reload. Raises `ReloadRejected`, which carries the report, when a
        reload is refused and nothing was changed, `NotAttempted` when a condition of it does not hold, and `Stopping`
        during shutdown.
        """
        request = ReloadRequest(**fields)
        return await asyncio.shield(self._enqueue(request, trigger, Conditions(etags, generation), snapshot))

    async def look(self, *, trust_stats: bool = True) -> Snapshot:
        """Read the current directory as it is on the disk now, changing nothing; raises as a reload would."""
        return await self._loader.snapshot(Path(self._current.directory), trust_stats=trust_stats)

    async def close(self, deadline: float) -> None:
        """Begin no reload any more and wait for the one that runs, at most *deadline* seconds."""
        self._closing = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=deadline)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._loader.close()

    async def _resume(self, former: StoredSet) -> ReloadReport:
        if former.directory != str(self._settings.directory):
            log.info("%s is not read: what served last came from elsewhere", self._settings.directory)
        disk = await self._peek(Path(former.directory))
        if disk is not None and disk.disk_revision != former.disk:
            with suppress(ReloadRejected):
                return await self.reload_characters(trigger="startup", directory=former.directory, snapshot=disk)
        return await self.reload_characters(trigger="startup", generation=former.generation)

    def _enqueue(
        self, request: ReloadRequest, trigger: Trigger, conditions: Conditions, snapshot: Snapshot | None
    ) -> asyncio.Task[ReloadReport]:
        # Only the last one in line may be shared: joining one further ahead would let a different request, which
        # was made earlier, have the last word.
        key = request, trigger, conditions, snapshot
        if self._last_in_line is not None and self._last_in_line[0] == key:
            return self._last_in_line[1]
        task = asyncio.create_task(self._run_in_turn(Attempt(request, trigger, conditions, snapshot)))
        self._tasks.add(task)
        task.add_done_callback(self._end_of)
        self._last_in_line = key, task
        return task

    def _end_of(self, task: asyncio.Task[ReloadReport]) -> None:
        self._tasks.discard(task)
        # Whoever asked may be gone: asyncio would log a refusal, which has been logged, as a fault that nobody saw.
        if not task.cancelled() and not isinstance(e := task.exception(), CharhostError | None):
            log.error("a reload failed unexpectedly", exc_info=e)

    async def _run_in_turn(self, attempt: Attempt) -> ReloadReport:
        try:
            async with self._turn:
                if self._last_in_line is not None and self._last_in_line[1] is asyncio.current_task():
                    self._last_in_line = None
                if self._closing:
                    raise Stopping("The server is shutting down.")
                self._check(attempt.conditions)
                attempt.clock.lap("queue")
                self.running = attempt
                return await self._run(attempt)
        except asyncio.CancelledError:  # by `close`, at its deadline; whoever waits is to get an answer
            raise Stopping("The server is shutting down.") from None
        finally:
            if self.running is attempt:
                self.running = None

    def _check(self, conditions: Conditions) -> None:
        etags, current = conditions.etags, self._current.etag
        if etags is not None and current not in etags:
            raise RevisionMismatch(f'The set that serves is another one: "{current}".')

    async def _run(self, attempt: Attempt) -> ReloadReport:
        attempt.directory = self._resolve(attempt.request.directory)
        try:
            async with asyncio.timeout(self._settings.load_deadline):
                await (self._restore if attempt.restores else self._load)(attempt)
        except NotAttempted:
            raise
        except DirectoryError as e:
            await self._reject(attempt, e.code, str(e))
        except IsolatedLoadFailed as e:
            attempt.build = Build(CharacterSet(attempt.directory), e.errors, 0, None)
            await self._reject(attempt, "isolated_load_failed", crashed(attempt.directory, len(e.errors)))
        except (TimeoutError, LoadTimeout):
            text = f"Loading {attempt.directory} was not finished after {self._settings.load_deadline:g} s."
            await self._fail(attempt, "load_timeout", text)
        except Exception as e:
            log.exception("a reload of the characters in %s failed unexpectedly", attempt.directory)
            await self._fail(attempt, "internal_error", f"Unexpected error during reload: {type(e).__name__}")
        return await self._decide(attempt)

    def _resolve(self, directory: str | None) -> str:
        if directory == "default":
            return str(self._settings.directory)
        return directory or self._current.directory

    async def _load(self, attempt: Attempt) -> None:
        directory = Path(attempt.directory)
        if attempt.snapshot is None or self._is_outdated(attempt.snapshot, directory):
            attempt.snapshot = await self._loader.snapshot(directory)
        attempt.clock.lap("snapshot")
        attempt.build = await self._loader.build(
            attempt.snapshot,
            attempt.directory,
            self._generations.after(self._current),
            self._basis(attempt.request, directory),
            check_isolated=self._isolates(attempt.request),
        )
        attempt.clock.lap("build")

    async def _restore(self, attempt: Attempt) -> None:
        """Build what is stored, and look at the disk only to tell later whether it has changed since."""
        stored = attempt.stored = await self._generations.find(attempt.conditions.generation, self._current)
        attempt.directory = stored.directory
        self._loader.admit(stored)
        attempt.snapshot = await self._peek(Path(stored.directory))
        attempt.clock.lap("snapshot")
        generation, isolates = self._generations.after(self._current), self._isolates(attempt.request)
        attempt.build = await self._loader.rebuild(stored, generation, check_isolated=isolates)
        attempt.clock.lap("build")

    async def _peek(self, directory: Path) -> Snapshot | None:
        try:
            async with asyncio.timeout(_PEEK):
                return await self._loader.snapshot(directory)
        except (DirectoryError, TimeoutError, LoadTimeout):
            return None

    def _isolates(self, request: ReloadRequest) -> bool:
        return self._settings.check_isolated if request.check_isolated is None else request.check_isolated

    def _is_outdated(self, snapshot: Snapshot, directory: Path) -> bool:
        """Say whether, while *snapshot* waited, another reload went elsewhere or applied a later one."""
        later = self._applied is not None and snapshot.taken < self._applied.taken
        return later or snapshot.directory != directory

    def _basis(self, request: ReloadRequest, directory: Path) -> Basis:
        if Path(self._current.directory) != directory:
            return Basis()
        by_file = {character.file: character for character in self._current.values()}
        changed_only = request.scope == "changed"
        return Basis(
            unchanged=by_file if changed_only else {},
            last_good=by_file if request.on_error == "keep" else {},
            failures=changed_only,
        )

    async def _decide(self, attempt: Attempt) -> ReloadReport:
        assert attempt.build is not None
        characters, errors = self._numbered(attempt), attempt.build.errors
        if not characters:
            await self._reject(attempt, "no_characters", nothing_loaded(attempt.directory, len(errors)))
        if errors and attempt.request.on_error == "abort":
            text = f"{count(len(errors), 'character file')} in {attempt.directory} failed, so nothing was changed."
            await self._reject(attempt, "set_rejected", text)
        if self._is_current(characters):
            return await self._unchanged(attempt)
        swap = self._swap_to(characters, attempt)
        if attempt.request.dry_run:
            text = f"{count(len(characters), 'character')} would be loaded from {attempt.directory}"
            return await self._finish(attempt, "valid", text, swap, self._audience.impact(swap))
        return await self._swap(attempt, swap)

    def _numbered(self, attempt: Attempt) -> CharacterSet:
        assert attempt.build is not None
        if attempt.trigger != "startup":
            return attempt.build.characters
        read = attempt.snapshot.disk_revision if attempt.snapshot else None
        return self._generations.continued(attempt.build.characters, attempt.stored.disk if attempt.stored else read)

    async def _swap(self, attempt: Attempt, swap: Swap) -> ReloadReport:
        impact = self._audience.impact(swap)
        self._current = swap.after  # the one assignment: nothing before it is visible, nothing after it may fail
        self._applied = attempt.snapshot
        self._is_restored = attempt.stored is not None
        if attempt.build is not None and attempt.build.space is not None:
            self._published = attempt.build.space
            self._published.publish()
        try:
            self._audience.follow(swap)
        except Exception:
            log.exception("the sessions of a character reload could not all be told")
        attempt.clock.lap("swap")
        text = was_loaded(len(swap.after), attempt.directory)
        if attempt.stored is not None:
            text = was_restored(len(swap.after), attempt.directory, attempt.stored.generation, attempt.trigger)
        return await self._finish(attempt, "applied", text, swap, impact)

    def _is_current(self, characters: CharacterSet) -> bool:
        current = self._current
        same = all(current.get(name) is character for name, character in characters.items())
        return same and len(characters) == len(current) and Path(characters.directory) == Path(current.directory)

    async def _unchanged(self, attempt: Attempt) -> ReloadReport:
        if not attempt.request.dry_run:
            self._applied = attempt.snapshot
            self._is_restored = False
        text = was_unchanged(len(self._current), attempt.directory)
        return await self._nothing_changed(attempt, "unchanged", text)

    async def _reject(self, attempt: Attempt, code: str, message: str) -> NoReturn:
        raise ReloadRejected(code, await self._nothing_changed(attempt, "rejected", message)) from None

    async def _fail(self, attempt: Attempt, code: str, message: str) -> NoReturn:
        raise ReloadFailed(code, await self._nothing_changed(attempt, "failed", message)) from None

    async def _nothing_changed(self, attempt: Attempt, outcome: Outcome, message: str) -> ReloadReport:
        swap = self._swap_to(self._current, attempt)
        impact = SessionImpact(policy=swap.policy, total=self._audience.impact(swap).total)
        return await self._finish(attempt, outcome, message, swap, impact)

    def _swap_to(self, characters: CharacterSet, attempt: Attempt) -> Swap:
        request, settings = attempt.request, self._settings
        drain = settings.drain if request.drain_seconds is None else request.drain_seconds
        return Swap(self._current, characters, request.sessions or settings.sessions, drain)

    async def _finish(
        self, attempt: Attempt, outcome: Outcome, message: str, swap: Swap, impact: SessionImpact
    ) -> ReloadReport:
        """Report an attempt, count it, log it and keep it; every reload ends here, whatever its outcome."""
        report = attempt.report(outcome, message, swap, impact, self.serving)
        self._metrics.record(report, attempt.executed, attempt.is_healthy(report))
        write_log(report)
        if not report.dry_run:
            self.last_reload = report
            self.last_error = report if report.errors or not report.success else None
        for listener in self._listeners:
            listener(report)
        await self._generations.record(report, self._current, self._applied)
        return report


class _Nobody:
    """The audience of a manager that serves no sessions."""

    def impact(self, swap: Swap) -> SessionImpact:
        return SessionImpact(policy=swap.policy)

    def follow(self, swap: Swap) -> None:
        pass
