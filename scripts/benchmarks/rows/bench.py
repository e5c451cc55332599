"""One measuring: the rows that it fills, and the servers that it runs in turn."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from scripts.benchmarks.beside.floor import Floor
from scripts.benchmarks.measure import generate
from scripts.benchmarks.row import Goal, Rows
from scripts.benchmarks.servers import Server, serving

_numbers = count()


@dataclass(frozen=True)
class Bench:
    """The figures of all runs, and where they come from: `kinds` has the measured servers with their programs.

    Those called "charhost" and "beside" are charhosts, which have rows that the others lack.
    """

    rows: Rows
    scratch: Path
    kinds: Mapping[str, str]
    by_processor: bool = False

    @property
    def charhosts(self) -> list[str]:
        return [kind for kind in self.kinds if kind in ("charhost", "beside")]

    def serving(self, kind: str) -> AbstractAsyncContextManager[Server]:
        return serving(self.kinds[kind], by_processor=self.by_processor)

    def floor(self, directory: Path) -> Floor:
        return Floor(directory, time.process_time if self.by_processor else time.perf_counter)

    def generate(self, characters: int) -> Path:
        """Return a new directory of so many characters."""
        return generate(self.scratch / str(next(_numbers)), characters)

    def add_gap(self, name: str, goal: Goal, kind: str, probed: Mapping[str, float]) -> None:
        """Add a gap of the event loop: in processor time, since the machine may do other work, and by the clock."""
        self.rows.add(name, goal, kind, probed["work"])
        self.rows.add(name, goal, f"{kind} by the clock", probed["gap"])
