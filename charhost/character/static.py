"""Names that a file binds, read from its source without running it."""

import ast
from collections.abc import Iterator, Mapping
from functools import reduce

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match)
_MOST_STRINGS = 1_000
_MOST_LENGTH = 1_000


def line_of(source: str, name: str) -> int | None:
    """Return the last line that binds *name*, or `Class.method`; for a method that is absent, the class's."""
    first, _, method = name.partition(".")
    found = _last(ast.parse(source), first)
    inner = _last(found, method) if isinstance(found, ast.ClassDef) else None
    last = inner or found
    return last.lineno if last else None


def strings_of(source: str, name: str) -> frozenset[str]:
    """Return the strings that *name* may have when the file was run; raises the errors of `ast.parse`.

    Literals are followed through names, concatenations, f-strings, conditions and loops, but not through calls and
    imports. A statement in a block may be skipped, so it adds to those before it; one outside of blocks replaces them.
    """
    module = ast.parse(source)
    certain = {statement for statement in module.body if not isinstance(statement, _BLOCKS)}
    known: dict[str, frozenset[str]] = {}
    for statement in _statements(module):
        found: dict[str, frozenset[str]] = {}
        for bound, value in _assignments(statement):
            found[bound] = found.get(bound, frozenset()) | _strings(value, known)
        for bound, strings in found.items():
            known[bound] = strings if statement in certain else known.get(bound, frozenset()) | strings
    return known.get(name, frozenset())


def _strings(value: ast.expr | None, known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    match value:
        case ast.Constant(value=str(text)):
            return frozenset({text})
        case ast.Name(id=name):
            return known.get(name, frozenset())
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined(_strings(left, known), _strings(right, known))
        case ast.JoinedStr(values=parts):
            return reduce(_joined, (_strings(part, known) for part in parts), frozenset({""}))
        case ast.FormattedValue(value=inner, conversion=-1, format_spec=None) | ast.NamedExpr(value=inner):
            return _strings(inner, known)
        case ast.IfExp(body=first, orelse=second):
            return _strings(first, known) | _strings(second, known)
        case ast.BoolOp(values=choices):
            return frozenset[str]().union(*(_strings(choice, known) for choice in choices))
    return frozenset()


def _joined(left: frozenset[str], right: frozenset[str]) -> frozenset[str]:
    # Limited: each line of a file can double the length of a string, or the number of strings.
    if len(left) * len(right) > _MOST_STRINGS:
        return frozenset()
    return frozenset(a + b for a in left for b in right if len(a) + len(b) <= _MOST_LENGTH)


def _last(scope: ast.AST, name: str) -> ast.stmt | None:
    bound = [statement for statement in _statements(scope) if name in _names(statement)]
    return bound[-1] if bound else None


def _statements(scope: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a module or class, also those in blocks, not those in its functions and classes."""
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, (*_SCOPES, ast.expr)):
            yield from _statements(child)


def _names(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, _SCOPES):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
    else:
        yield from (name for name, _ in _assignments(statement))
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id


def _assignments(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield each name that a statement assigns, with its value; None for a value that is computed."""
    match statement:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _pairs(target, value)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield from _pairs(target, value)
        case ast.For(target=target, iter=ast.Tuple(elts=values) | ast.List(elts=values) | ast.Set(elts=values)):
            for element in values:
                yield from _pairs(target, element)
        case ast.For(target=target) | ast.AsyncFor(target=target):
            yield from _pairs(target, None)
        case ast.AugAssign(target=target, op=op, value=value):
            yield from _pairs(target, ast.BinOp(target, op, value))
    for part in _parts(statement):
        match part:
            case ast.NamedExpr(target=target, value=value):
                yield from _pairs(target, value)
            case ast.withitem(optional_vars=ast.expr() as target):
                yield from _pairs(target, None)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name, None


def _pairs(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    match target:
        case ast.Name(id=name):
            yield name, value
        case ast.Starred(value=inner):
            yield from _pairs(inner, None)
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            values = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
            is_plain = len(values) == len(targets) and not any(isinstance(e, ast.Starred) for e in (*targets, *values))
            for index, element in enumerate(targets):
                yield from _pairs(element, values[index] if is_plain else None)


def _parts(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement, without the statements and scopes in it; an expression may nest deeply."""
    waiting: list[ast.AST] = [] if isinstance(statement, _SCOPES) else [statement]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if not isinstance(child, (ast.stmt, ast.Lambda, ast.comprehension)):
                waiting.append(child)
                yield child
