"""Size and shape of files, functions and tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from statistics import median

from scripts.style.figure import Figure, Offender
from scripts.style.source import Definition, Function, Source, body_of

MOST_FLAT_FILES = 9
LONGEST_FILE = 300
LONGEST_BODY = 40


def files(sources: Sequence[Source]) -> Iterator[Figure]:
    """Measure the files of charhost/."""
    flat = [source for source in sources if source.path.count("/") == 1]
    long = [source for source in sources if source.line_count > LONGEST_FILE]
    longest = max(sources, key=lambda source: source.line_count)
    offenders = tuple(Offender(source.path, 1, f"{source.line_count} lines") for source in long)
    yield Figure("files", len(sources))
    yield Figure("lines", sum(source.line_count for source in sources))
    yield Figure("files flat in charhost/", len(flat), most=MOST_FLAT_FILES, offenders=tuple(map(_flat, flat)))
    yield Figure("median file", median(source.line_count for source in sources), "lines")
    yield Figure("longest file", longest.line_count, "lines", longest.path, most=LONGEST_FILE, offenders=offenders)
    yield Figure(f"files over {LONGEST_FILE} lines", len(long))


def functions(sources: Sequence[Source]) -> Iterator[Figure]:
    """Measure the functions of charhost/."""
    found = [(source, function) for source in sources for function in source.functions()]
    source, longest = max(found, key=lambda pair: body_of(pair[1]))
    bodies = [body_of(function) for _, function in found]
    offenders = tuple(
        Offender(source.path, function.lineno, f"{function.name}: {body_of(function)} lines")
        for source, function in found
        if body_of(function) > LONGEST_BODY
    )
    yield Figure("functions", len(found))
    yield Figure("body median", median(bodies), "lines")
    yield Figure("body p90", percentile(bodies, 90), "lines")
    yield Figure("body p99", percentile(bodies, 99), "lines")
    name = f"{longest.name} ({source.path}:{longest.lineno})"
    yield Figure("longest body", max(bodies), "lines", name, most=LONGEST_BODY, offenders=offenders)
    yield Figure("functions of more than 5 arguments", share(_arguments(f) > 5 for _, f in found), "%")
    yield Figure("functions with a typed return", share(f.returns is not None for _, f in found), "%")


def documentation(sources: Sequence[Source]) -> Iterator[Figure]:
    """Measure how much of charhost/ is explained."""
    public = [node for source in sources for node in _public(source.tree.body)]
    comments = sum(1 for source in sources for _ in source.comments())
    yield Figure("public names with a docstring", share(ast.get_docstring(node) is not None for node in public), "%")
    yield Figure("comments per 100 lines", 100 * comments / sum(source.line_count for source in sources))


def tests(sources: Sequence[Source]) -> Iterator[Figure]:
    """Measure the tests."""
    found = [test for source in sources for test in source.functions() if test.name.startswith("test_")]
    bodies = [body_of(test) for test in found] or [0]
    yield Figure("tests", len(found))
    yield Figure("test body median", median(bodies), "lines")
    yield Figure("test body p90", percentile(bodies, 90), "lines")
    yield Figure("longest test body", max(bodies), "lines")
    yield Figure("tests with a docstring", share(ast.get_docstring(test) is not None for test in found), "%")


def percentile(values: Sequence[int], percent: int) -> int:
    """Return the smallest value that *percent* of the values do not exceed."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def share(facts: Iterator[bool]) -> float:
    """Return the percentage of the facts that are true; 100 of none."""
    known = list(facts)
    return 100 * sum(known) / len(known) if known else 100.0


def _flat(source: Source) -> Offender:
    return Offender(source.path, 1, "lies flat in charhost/")


def _arguments(function: Function) -> int:
    given = function.args
    names = [argument.arg for argument in given.posonlyargs + given.args + given.kwonlyargs]
    return len([name for name in names if name not in ("self", "cls")])


def _public(body: Sequence[ast.stmt]) -> Iterator[Definition]:
    """Yield the public functions and classes of a module or class, and of its public classes."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)
