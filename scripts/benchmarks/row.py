"""The rows of the table that `scripts/bench` prints: figures beside those of others, and goals."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.benchmarks.measure import print_table, spread


@dataclass(frozen=True)
class Goal:
    """A limit for the median: *factor* times that of another, and *plus*, or itself; `is_least`: larger is better."""

    factor: float
    of: str | None = None
    is_least: bool = False
    plus: float = 0

    def __str__(self) -> str:
        more = f" + {self.plus:g}" if self.plus else ""
        return f"{'≥' if self.is_least else '≤'} {self.factor:g}{f' × {self.of}' if self.of else ''}{more}"


@dataclass
class Row:
    """One row: its name with the unit, and the figures of every run, by their subject."""

    name: str
    goal: Goal
    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, of: str, figure: float) -> None:
        self.figures.setdefault(of, []).append(figure)

    @property
    def limit(self) -> float:
        times = statistics.median(self.figures[self.goal.of]) if self.goal.of else 1
        return self.goal.factor * times + self.goal.plus

    @property
    def share(self) -> float:
        """How much of the limit is used; a goal that is met uses at most 1."""
        median = statistics.median(self.figures["charhost"])
        return self.limit / median if self.goal.is_least else median / self.limit

    @property
    def verdict(self) -> str:
        return "met" if self.share <= 1 else f"missed: {self.share:.2f} of the limit"

    @property
    def as_json(self) -> dict[str, Any]:
        medians = {of: statistics.median(figures) for of, figures in self.figures.items()}
        goal = {"goal": str(self.goal), "limit": self.limit, "verdict": self.verdict}
        return {"name": self.name, "medians": medians, "figures": self.figures, **goal}


class Rows(dict[str, Row]):
    """The rows by name, in order."""

    def add(self, name: str, goal: Goal, of: str, figure: float) -> None:
        """Add a figure of one run to the row of that name, which is made with its goal if it is new."""
        self.setdefault(name, Row(name, goal)).add(of, figure)

    def print(self) -> None:
        print_table(["work", "charhost", "beside", "goal", "verdict"], [_cells(row) for row in self.values()])


def _cells(row: Row) -> Sequence[str]:
    beside = ", ".join(f"{of} {spread(figures)}" for of, figures in row.figures.items() if of != "charhost")
    return [row.name, spread(row.figures["charhost"]), beside, str(row.goal), row.verdict]
