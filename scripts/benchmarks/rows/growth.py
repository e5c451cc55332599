"""How a figure grows with the number of things that are worked on."""

from __future__ import annotations

import math
import re
import statistics
from dataclasses import dataclass, field
from typing import Any

from scripts.benchmarks.row import Rows

# Twice as many take at most 2.14 times as long: one that is measured as 1 may come out so, on a machine with a cache.
_LINEAR = 1.1
# The rows whose figure is that of one thing among all.
_OF_EACH = ("memory of each", "processor time of a")


@dataclass
class Growth:
    """The figures of one row by the number of things; `name` has an N where that number stands."""

    name: str
    figures: dict[int, list[float]] = field(default_factory=dict)

    @property
    def exponent(self) -> float:
        """The growth of the whole between the two largest numbers: 1 is linear, 0 is none."""
        (few, less), (many, more) = [(count, statistics.median(found)) for count, found in self.figures.items()][-2:]
        return math.log(more / less) / math.log(many / few) + self.name.startswith(_OF_EACH)

    @property
    def is_linear(self) -> bool:
        return self.exponent <= _LINEAR

    @property
    def as_json(self) -> dict[str, Any]:
        medians = {str(count): statistics.median(found) for count, found in self.figures.items()}
        verdict = {"exponent": self.exponent, "is_linear": self.is_linear}
        return {"name": self.name, "medians": medians, "figures": self.figures, **verdict}


class Growths(dict[str, Growth]):
    """The growths by name, in order."""

    def add(self, rows: Rows, count: int) -> None:
        """Add the figures of charhost in those *rows* that are named after *count*."""
        for row in rows.values():
            name = re.sub(rf"\b{count}\b", "N", row.name)
            if name != row.name and "charhost" in row.figures:
                figures = self.setdefault(name, Growth(name)).figures
                figures.setdefault(count, []).extend(max(figure, 0.01) for figure in row.figures["charhost"])
