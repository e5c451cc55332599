"""The command: every figure in one table, and the places that miss a bound."""

import argparse
from pathlib import Path

from scripts.style import imports, shape, words
from scripts.style.figure import Figure
from scripts.style.source import read

HERE = Path(__file__).resolve().parent.parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Print the figures and return the exit status."""
    parser = argparse.ArgumentParser(prog="measure_style", description="Measure the style of a checkout of charhost.")
    parser.add_argument("checkout", nargs="?", type=Path, default=HERE, help="its directory (default: this one)")
    parser.add_argument("--check", action="store_true", help="exit with status 1, and list why, when a bound is missed")
    options = parser.parse_args(arguments)
    if not (options.checkout / "charhost").is_dir():
        parser.error(f"{options.checkout} has no directory charhost")
    figures = measure(options.checkout)
    print(*figures, sep="\n")
    missed = [figure for figure in figures if options.check and not figure.is_kept]
    for figure in missed:
        print(f"\n{figure.name}:", *figure.offenders, sep="\n  ")
    return int(bool(missed))


def measure(root: Path) -> list[Figure]:
    """Return every figure of a checkout."""
    charhost, scripts, tests = read(root, "charhost"), read(root, "scripts"), read(root, "tests")
    layers = imports.layers_in((root / "tests" / "test_house.py").read_text(encoding="utf-8"))
    return [
        *shape.files(charhost),
        Figure("lines of charhost/ and scripts/", sum(source.line_count for source in charhost + scripts)),
        *shape.functions(charhost),
        *shape.tests(tests),
        *imports.imports(charhost, layers),
        *words.words(charhost + scripts),
    ]
