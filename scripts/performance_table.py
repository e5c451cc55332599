"""The table of docs/performance.md, of the figures that `scripts/bench --json` has written."""

import json
from pathlib import Path

from charhost.jsontext import Json

FIGURES = Path(__file__).parent / "benchmarks" / "figures.json"


def rows() -> list[tuple[str, ...]]:
    """Return a row for each measured work: the medians of charhost and of those beside it, the goal and the verdict."""
    return [_row(row) for row in json.loads(FIGURES.read_text(encoding="utf-8"))["rows"]]


def _row(row: Json) -> tuple[str, ...]:
    beside = (f"{name} {_short(median)}" for name, median in row["medians"].items() if name != "charhost")
    return row["name"], _short(row["medians"]["charhost"]), ", ".join(beside), row["goal"], row["verdict"]


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}"
