"""The command: every figure in one table, and the places that miss a bound."""

import argparse
import ast
from pathlib import Path

from scripts.style import figures
from scripts.style.source import read


def main(arguments: list[str] | None = None) -> int:
    """Print the figures and return the exit status."""
    here = Path(__file__).resolve().parent.parent.parent
    parser = argparse.ArgumentParser(prog="measure_style", description="Measure the style of a checkout of charhost.")
    parser.add_argument("checkout", nargs="?", type=Path, default=here, help="its directory (default: this one)")
    parser.add_argument("--check", action="store_true", help="exit with status 1, and list why, when a bound is missed")
    options = parser.parse_args(arguments)
    if not (options.checkout / "charhost").is_dir():
        parser.error(f"{options.checkout} has no directory charhost")
    measured = measure(options.checkout)
    print(*measured, sep="\n")
    missed = [figure for figure in measured if options.check and not figure.is_kept]
    for figure in missed:
        print(f"\n{figure.name}:", *figure.offenders, sep="\n  ")
    return int(bool(missed))


def measure(root: Path) -> list[figures.Figure]:
    """Return every figure of a checkout."""
    charhost, scripts, tests = read(root, "charhost"), read(root, "scripts"), read(root, "tests")
    return [
        *figures.files(charhost),
        figures.Figure("lines of charhost/ and scripts/", sum(source.line_count for source in charhost + scripts)),
        *figures.functions(charhost),
        *figures.tests(tests),
        *figures.imports(charhost, _packages(root)),
        *figures.words(charhost + scripts),
    ]


def _packages(root: Path) -> tuple[str, ...]:
    """Return the packages from the top down, as the test of the architecture lists them."""
    for node in ast.parse((root / "tests" / "test_house.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER":
            return tuple(ast.literal_eval(node.value))
    raise ValueError("tests/test_house.py: expected a tuple named ORDER, with the packages from the top down")
