"""The parts that the loaders of all character sets share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from weakref import ref

from charhost.loading.character_metrics import CharacterMetrics, Encode
from charhost.loading.module_space import ModuleSpace
from charhost.loading.unloading import Unloading
from charhost.metrics import Metrics
from charhost.threads.worker_pool import WorkerPool


@dataclass(frozen=True, eq=False)
class LoaderContext:
    """The threads, metrics and builds of all loaders. Lives as long as the application."""

    pool: WorkerPool = field(default_factory=WorkerPool)
    unload_deadline: float = 5.0
    metrics: CharacterMetrics = field(default_factory=CharacterMetrics)
    # Not a WeakSet, whose callbacks a deadline may interrupt, on the thread that lets go of a build.
    _spaces: list[ref[ModuleSpace]] = field(default_factory=list)

    @cached_property
    def unloading(self) -> Unloading:
        return Unloading(self.pool, self.unload_deadline)

    @property
    def builds_alive(self) -> int:
        return len(self._alive())

    @property
    def files_alive(self) -> int:
        """The number of files whose modules are still referenced, in each build that has executed them."""
        return sum(space.executed for space in self._alive())

    def add(self, space: ModuleSpace) -> None:
        """Count a build, as long as its modules are referenced."""
        self._spaces[:] = [ref(one) for one in (*self._alive(), space)]

    def show_in(self, metrics: Metrics) -> None:
        metrics.builds_alive.set_function(lambda: self.builds_alive)
        metrics.threads_stuck.set_function(lambda: self.pool.stuck)

    async def collect_metrics(self, encode: Encode) -> tuple[bytes, int]:
        """Return the encoded metrics of the characters, and how many of their collectors failed."""
        return await self.metrics.collect(self.pool, encode)

    def _alive(self) -> list[ModuleSpace]:
        return [space for one in self._spaces if (space := one()) is not None]
