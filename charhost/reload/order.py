"""One reload as a caller orders it."""

from __future__ import annotations

from dataclasses import dataclass

from charhost.loading.snapshot import Snapshot
from charhost.report import ReloadRequest, Trigger


@dataclass(frozen=True)
class FromDisk:
    """Load the directory; a *snapshot* that is still up to date replaces reading it."""

    snapshot: Snapshot | None = None


@dataclass(frozen=True)
class FromHistory:
    """Restore the stored set of *generation*; None means the one before the current set."""

    generation: int | None = None


Source = FromDisk | FromHistory


@dataclass(frozen=True)
class Order:
    """A request, where its characters come from, and the sets (*etags*) of which one must be current; None: any.

    The *trigger* is only reported and counted. Equal orders that wait share one run.
    """

    request: ReloadRequest
    trigger: Trigger
    source: Source
    etags: tuple[str, ...] | None
