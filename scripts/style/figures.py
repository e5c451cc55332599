"""The measured numbers (size, shape, imports and words), and the command that prints them."""

import argparse
import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scripts.style.source import Definition, Function, Source, read

MOST_FLAT_FILES, LONGEST_FILE, LONGEST_BODY = 9, 300, 40
# Words that have a plainer one: each figure with its pattern, and the rate per 1,000 that it must stay below.
RULES: tuple[tuple[str, str, float | None], ...] = (
    ("whoever, whom, nobody, somebody, anybody", r"(?i)\b(whoever|whom|nobody|somebody|anybody)\b", 1),
    # At the start of a sentence or clause it is the verb; elsewhere it is mostly the noun.
    ("Answer(s) for return(s)", r"(?m)(^|[.!?:]\s+)Answers?\b|;\s+answers?\b", 1),
    ("say, says, said, tell, tells, told", r"(?i)\b(say|says|said|tell|tells|told)\b", 2),
    ("what", r"(?i)\bwhat\b", 2),
    ("return, returns", r"(?i)\breturns?\b", None),
)


@dataclass(frozen=True)
class Figure:
    """A number with its unit; *most* is the highest value allowed, *below* the first that is not.

    Each offender is a place that exceeds the bound, as `path:line: reason`.
    """

    name: str
    value: float
    unit: str = ""
    most: float | None = None
    below: float | None = None
    offenders: Sequence[str] = ()

    @property
    def is_kept(self) -> bool:
        too_high = self.most is not None and self.value > self.most
        return not too_high and (self.below is None or self.value < self.below)

    def __str__(self) -> str:
        bound = f"at most {self.most:g}" if self.most is not None else f"under {self.below:g}" if self.below else ""
        value = f"{self.value:,.1f}".removesuffix(".0")
        return f"{self.name:42}{value:>8} {self.unit:10}{bound:12}{'' if self.is_kept else '  MISSED'}".rstrip()


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


def measure(root: Path) -> list[Figure]:
    charhost, scripts, tests = read(root, "charhost"), read(root, "scripts"), read(root, "tests")
    return [
        *_files(charhost),
        Figure("lines of charhost/ and scripts/", sum(source.line_count for source in charhost + scripts)),
        *_functions(charhost),
        *_tests(tests),
        *_imports(charhost, _packages(root)),
        *_words(charhost + scripts),
    ]


def _files(sources: Sequence[Source]) -> Iterator[Figure]:
    counts = [source.line_count for source in sources]
    flat = [f"{source.path}:1: lies flat in charhost/" for source in sources if source.path.count("/") == 1]
    long = [f"{source.path}:1: {source.line_count} lines" for source in sources if source.line_count > LONGEST_FILE]
    yield Figure("files", len(sources))
    yield Figure("lines", sum(counts))
    yield Figure("files flat in charhost/", len(flat), most=MOST_FLAT_FILES, offenders=flat)
    yield Figure("median file", median(counts), "lines")
    yield Figure("longest file", max(counts), "lines", most=LONGEST_FILE, offenders=long)
    yield Figure(f"files over {LONGEST_FILE} lines", len(long))


def _functions(sources: Sequence[Source]) -> Iterator[Figure]:
    """Measure the functions of charhost/, and how much of it is explained."""
    found = [(source.path, function, _body(function)) for source in sources for function in source.functions]
    long = [f"{path}:{f.lineno}: {f.name}: {lines} lines" for path, f, lines in found if lines > LONGEST_BODY]
    public = [node for source in sources for node in _public(source.tree.body)]
    comments = sum(len(source.comments) for source in sources)
    yield Figure("functions", len(found))
    yield from _bodies("body", [lines for _, _, lines in found], LONGEST_BODY, long)
    yield Figure("functions of more than 5 arguments", _share(_arguments(f) > 5 for _, f, _ in found), "%")
    yield Figure("functions with a typed return", _share(f.returns is not None for _, f, _ in found), "%")
    yield Figure("public names with a docstring", _share(ast.get_docstring(node) is not None for node in public), "%")
    yield Figure("comments per 100 lines", 100 * comments / sum(source.line_count for source in sources))


def _tests(sources: Sequence[Source]) -> Iterator[Figure]:
    found = [test for source in sources for test in source.functions if test.name.startswith("test_")]
    yield Figure("tests", len(found))
    yield from _bodies("test body", list(map(_body, found)))
    yield Figure("tests with a docstring", _share(ast.get_docstring(test) is not None for test in found), "%")


def _imports(sources: Sequence[Source], packages: Sequence[str]) -> Iterator[Figure]:
    """Measure the imports inside charhost, whose *packages* are listed from the top down."""
    graph: dict[str, set[str]] = {source.module: set() for source in sources}
    found = [(source, *pair) for source in sources for pair in _own_imports(source, graph.keys())]
    for source, _, imported in found:
        graph[source.module].add(imported)
    circular, upward = list[str](), list[str]()
    for source, line, imported in found:
        if source.module in _reachable(graph, imported):
            circular.append(f"{source.path}:{line}: circle with {imported}")
        if _layer(imported, packages) < _layer(source.module, packages):
            upward.append(f"{source.path}:{line}: imports {imported}, which is above it")
    yield Figure("imports in a circle", len(circular), most=0, offenders=circular)
    yield Figure("imports up", len(upward), most=0, offenders=upward)


def _words(sources: Sequence[Source]) -> Iterator[Figure]:
    prose = [(f"{source.path}:{line}", text) for source in sources for line, text in _lines(source)]
    total = sum(len(re.findall(r"[A-Za-z][A-Za-z'’-]*", text)) for _, text in prose)
    yield Figure("words of docstrings and comments", total)
    for name, pattern, below in RULES:
        found = [f"{place}: {text.strip()}" for place, text in prose for _ in re.finditer(pattern, text)]
        offenders = found if below is not None else ()
        yield Figure(name, 1000 * len(found) / max(total, 1), "per 1,000", below=below, offenders=offenders)


def _bodies(
    name: str, lengths: Sequence[int], most: float | None = None, offenders: Sequence[str] = ()
) -> Iterator[Figure]:
    ordered = sorted(lengths) or [0]
    yield Figure(f"{name} median", median(ordered), "lines")
    for percent in (90, 99):
        yield Figure(f"{name} p{percent}", ordered[-(-len(ordered) * percent // 100) - 1], "lines")
    yield Figure(f"longest {name}", ordered[-1], "lines", most=most, offenders=offenders)


def _body(function: Function) -> int:
    """Return the number of lines without the docstring."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def _share(facts: Iterable[bool]) -> float:
    """Return the percentage of the facts that are true; 100 of none."""
    known = list(facts)
    return 100 * sum(known) / len(known) if known else 100.0


def _arguments(function: Function) -> int:
    given = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return sum(argument.arg not in ("self", "cls") for argument in given)


def _public(body: Sequence[ast.stmt]) -> Iterator[Definition]:
    """Yield the public functions and classes of a module or class, and of its public classes."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            yield from _public(node.body) if isinstance(node, ast.ClassDef) else ()


def _own_imports(source: Source, modules: Iterable[str]) -> Iterator[tuple[int, str]]:
    for line, name in source.imports():
        while name not in modules and "." in name:
            name = name.rpartition(".")[0]
        if name in modules and name != source.module:
            yield line, name


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    reached, waiting = {start}, {start}
    while waiting:
        waiting |= graph[waiting.pop()] - reached
        reached |= waiting
    return reached


def _layer(module: str, packages: Sequence[str]) -> int:
    """Return 0 for the top; the files beside the packages are below all."""
    package = f"{module}.".split(".")[1]
    if package in packages:
        return packages.index(package)
    return 0 if package == "__main__" else len(packages)


def _lines(source: Source) -> Iterator[tuple[int, str]]:
    for start, text in (*source.docstrings(), *source.comments):
        yield from enumerate(text.splitlines(), start)


def _packages(root: Path) -> tuple[str, ...]:
    """Return the packages from the top down, as the test of the architecture lists them."""
    for node in ast.parse((root / "tests" / "test_house.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER":
            return tuple(ast.literal_eval(node.value))
    raise ValueError("tests/test_house.py: expected a tuple named ORDER, with the packages from the top down")
