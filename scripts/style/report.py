"""The command: every figure in one table, as JSON, or checked against its bound."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from scripts.style import imports, shape, words
from scripts.style.figure import Figure
from scripts.style.source import read

HERE = Path(__file__).resolve().parent.parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Print the figures and return the exit status."""
    options = parse(arguments)
    figures = measure(options.checkout)
    missed = [figure for figure in figures if not figure.is_kept]
    if options.json:
        print(json.dumps([asdict(figure) | {"is_kept": figure.is_kept} for figure in figures], indent=2))
    else:
        print(table(figures))
        listed = missed if options.check else []
        print_offenders(figures if options.offenders else [f for f in listed if not f.unit.startswith("per")])
    return int(options.check and bool(missed))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="measure_style", description="Measure the style of a checkout of charhost.")
    parser.add_argument("checkout", nargs="?", type=Path, default=HERE, help="its directory (default: this one)")
    parser.add_argument("--json", action="store_true", help="print the figures and their offenders as JSON")
    parser.add_argument("--check", action="store_true", help="exit with status 1, and list why, when a bound is missed")
    parser.add_argument("--offenders", action="store_true", help="list every place that a bounded figure counts")
    options = parser.parse_args(arguments)
    if not (options.checkout / "charhost").is_dir():
        parser.error(f"{options.checkout} has no directory charhost")
    return options


def measure(root: Path) -> list[Figure]:
    """Return every figure of a checkout."""
    charhost, scripts, tests = read(root, "charhost"), read(root, "scripts"), read(root, "tests")
    order = imports.order_in((root / "tests" / "test_house.py").read_text(encoding="utf-8"))
    lines = sum(source.line_count for source in charhost + scripts)
    return [
        *shape.files(charhost),
        Figure("lines of charhost/ and scripts/", lines),
        *shape.functions(charhost),
        *shape.documentation(charhost),
        *shape.tests(tests),
        *imports.imports(charhost, order),
        *words.words(charhost + scripts),
    ]


def table(figures: Iterable[Figure]) -> str:
    """Return a line for each figure: name, value, unit, bound and note."""
    lines = []
    for figure in figures:
        value = f"{figure.value:,.1f}".removesuffix(".0")
        missed = "" if figure.is_kept else "  MISSED"
        note = f"  {figure.note}" if figure.note else ""
        lines.append(f"{figure.name:42}{value:>8} {figure.unit:10}{figure.bound:12}{missed}{note}".rstrip())
    return "\n".join(lines)


def print_offenders(figures: Iterable[Figure]) -> None:
    """Print the offenders of each figure below its name."""
    for figure in figures:
        if figure.offenders:
            print(f"\n{figure.name}:")
            print(*(f"  {offender}" for offender in figure.offenders), sep="\n")
