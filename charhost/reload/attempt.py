"""One attempt to reload: what was asked, how far it came, and the report it makes."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from charhost.loading.snapshot import Snapshot
from charhost.loading.stored_set import StoredSet
from charhost.reload.loader import Build
from charhost.reload.swap import Swap
from charhost.report import (
    Outcome,
    ReloadReport,
    ReloadRequest,
    Serving,
    SessionImpact,
    Timings,
    Trigger,
)
from charhost.text import timestamp


@dataclass(frozen=True)
class Conditions:
    """What must hold when the turn of a reload has come.

    `etags` are the sets of which one has to serve then; None: any may. `generation` is the one that is made again; a
    rollback without one leads to the one before the current.
    """

    etags: tuple[str, ...] | None = None
    generation: int | None = None


@dataclass(eq=False)
class Attempt:
    """Filled in as the reload proceeds; only one runs at a time.

    `snapshot` is the disk; one that `restores` builds what is `stored` instead.
    """

    request: ReloadRequest
    trigger: Trigger
    conditions: Conditions = field(default_factory=lambda: Conditions())
    snapshot: Snapshot | None = None
    stored: StoredSet | None = None
    directory: str = ""
    build: Build | None = None
    reload_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started_at: str = field(default_factory=timestamp)
    clock: Clock = field(default_factory=lambda: Clock())

    @property
    def restores(self) -> bool:
        """Whether it makes a stored set again, and loads none."""
        return self.trigger == "rollback" or self.conditions.generation is not None

    @property
    def total_files(self) -> int:
        """How many character files there were to load."""
        if self.stored is not None:
            return len(self.stored.members)
        return len(self.snapshot.character_paths) if self.snapshot else 0

    @property
    def executed(self) -> int:
        """How many characters were made anew."""
        return self.build.executed if self.build else 0

    def is_healthy(self, report: ReloadReport) -> bool:
        """Whether an operator can sleep: under `keep` a file that failed is a version that was not replaced."""
        return report.success and not (self.request.on_error == "keep" and report.errors)

    def report(
        self, outcome: Outcome, message: str, swap: Swap, impact: SessionImpact, serving: Serving
    ) -> ReloadReport:
        """Sum the attempt up; *swap* leads to the set it loaded, or from the current set to itself."""
        errors = self.build.errors if self.build else ()
        return ReloadReport(
            success=outcome in ("applied", "unchanged", "valid"),
            directory=self.directory,
            total_files=self.total_files,
            loaded_count=len(self.build.characters) if self.build else 0,
            error_count=len(errors),
            load_duration=self.clock.total,
            message=message,
            reload_id=self.reload_id,
            outcome=outcome,
            trigger=self.trigger,
            scope=self.request.scope,
            dry_run=self.request.dry_run,
            reason=self.request.reason,
            generation=swap.after.generation,
            revision=swap.after.revision,
            started_at=self.started_at,
            changes=swap.changes,
            errors=errors,
            sessions=impact,
            serving=serving,
            timings=Timings(**self.clock.laps),
        )


class Clock:
    """Seconds since the last lap, by name; the time in the queue is not part of the total."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, name: str) -> None:
        """End the stage called *name*."""
        now = time.monotonic()
        self.laps[name] = round(now - self._since, 6)
        self._since = now

    @property
    def total(self) -> float:
        """Seconds of work so far."""
        running = time.monotonic() - self._since if "queue" in self.laps else 0.0
        return round(sum(self.laps.values()) - self.laps.get("queue", 0.0) + running, 6)
