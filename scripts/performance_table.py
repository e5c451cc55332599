"""The tables of docs/performance.md, of the figures that `scripts/bench --json` and `… scale --json` have written."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from charhost.jsontext import Json

_BENCHMARKS = Path(__file__).parent / "benchmarks"
_FIGURES, _SCALE = _BENCHMARKS / "figures.json", _BENCHMARKS / "scale.json"

Row = tuple[str, ...]


def figures() -> tuple[Row, list[Row]]:
    """Return the header, and a row for each measured work: charhost, those beside it, the goal and the verdict."""
    found = json.loads(_FIGURES.read_text(encoding="utf-8"))
    earlier = ["beside"] if found.get("beside") else []
    columns = ["charhost", *earlier]
    header = ("work", "charhost", *(found["beside"] for _ in earlier), "beside", "goal", "verdict")
    return header, [_row(row, columns) for row in found["rows"]]


def growth(name: str) -> tuple[Row, list[Row]]:
    """Return the header, and a row for each work that was done with several numbers of the things called *name*."""
    return growth_of(json.loads(_SCALE.read_text(encoding="utf-8"))[name])


def growth_of(rows: Sequence[Json]) -> tuple[Row, list[Row]]:
    counts = list(rows[0]["medians"])
    header = ("work", *(f"{int(count):,}" for count in counts), "growth", "no faster than linear")
    return header, [_growth(row, counts) for row in rows]


def _growth(row: Json, counts: Sequence[str]) -> Row:
    medians = (_short(row["medians"][count]) for count in counts)
    return row["name"], *medians, f"N^{row['exponent']:.2f}", "yes" if row["is_linear"] else "no"


def _row(row: Json, columns: Sequence[str]) -> Row:
    beside = (f"{name} {_short(median)}" for name, median in row["medians"].items() if name not in columns)
    own = (_spread(row["figures"].get(column, ())) for column in columns)
    return row["name"], *own, ", ".join(beside), row["goal"], row["verdict"]


def _spread(figures: Sequence[float]) -> str:
    """Return the median with the least and the most; nothing of no figures."""
    if not figures:
        return ""
    return f"{_short(statistics.median(figures))} [{_short(min(figures))}–{_short(max(figures))}]"


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}"
