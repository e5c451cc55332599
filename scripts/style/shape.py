"""Size and shape of files, functions and tests."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from scripts.style.figure import Figure
from scripts.style.source import Definition, Function, Source

MOST_FLAT_FILES, LONGEST_FILE, LONGEST_BODY = 9, 300, 40


def files(sources: Sequence[Source]) -> Iterator[Figure]:
    """Measure the files of charhost/."""
    counts = [source.line_count for source in sources]
    flat = [f"{source.path}:1: lies flat in charhost/" for source in sources if source.folder == "charhost"]
    long = [f"{source.path}:1: {source.line_count} lines" for source in sources if source.line_count > LONGEST_FILE]
    yield Figure("files", len(sources))
    yield Figure("lines", sum(counts))
    yield Figure("files flat in charhost/", len(flat), most=MOST_FLAT_FILES, offenders=flat)
    yield Figure("median file", median(counts), "lines")
    yield Figure("longest file", max(counts), "lines", most=LONGEST_FILE, offenders=long)
    yield Figure(f"files over {LONGEST_FILE} lines", len(long))


def functions(sources: Sequence[Source]) -> Iterator[Figure]:
    """Measure the functions of charhost/, and how much of it is explained."""
    found = [function for source in sources for function in source.functions()]
    public = [node for source in sources for node in _public(source.tree.body)]
    comments = sum(1 for source in sources for _ in source.comments())
    long = [
        f"{source.path}:{function.lineno}: {function.name}: {_body(function)} lines"
        for source in sources
        for function in source.functions()
        if _body(function) > LONGEST_BODY
    ]
    yield Figure("functions", len(found))
    yield from _bodies("body", found)
    yield Figure("longest body", max(map(_body, found)), "lines", most=LONGEST_BODY, offenders=long)
    yield Figure("functions of more than 5 arguments", _share(_arguments(function) > 5 for function in found), "%")
    yield Figure("functions with a typed return", _share(function.returns is not None for function in found), "%")
    yield Figure("public names with a docstring", _share(ast.get_docstring(node) is not None for node in public), "%")
    yield Figure("comments per 100 lines", 100 * comments / sum(source.line_count for source in sources))


def tests(sources: Sequence[Source]) -> Iterator[Figure]:
    """Measure the tests."""
    found = [test for source in sources for test in source.functions() if test.name.startswith("test_")]
    yield Figure("tests", len(found))
    yield from _bodies("test body", found)
    yield Figure("longest test body", max(map(_body, found), default=0), "lines")
    yield Figure("tests with a docstring", _share(ast.get_docstring(test) is not None for test in found), "%")


def _bodies(name: str, functions: Sequence[Function]) -> Iterator[Figure]:
    bodies = sorted(map(_body, functions)) or [0]
    yield Figure(f"{name} median", median(bodies), "lines")
    for percent in (90, 99):
        yield Figure(f"{name} p{percent}", bodies[-(-len(bodies) * percent // 100) - 1], "lines")


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
