"""Names that a file binds, read from its source without running it."""

import ast
from collections.abc import Iterator

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match)


def line_of(source: str, name: str) -> int | None:
    """Return the last line that binds *name*, or `Class.method`; for a method that is absent, the class's."""
    first, _, method = name.partition(".")
    found = _last(ast.parse(source), first)
    inner = _last(found, method) if isinstance(found, ast.ClassDef) else None
    last = inner or found
    return last.lineno if last else None


def strings_of(source: str, name: str) -> frozenset[str]:
    """Return the string literals that *name* may have when the file was run; raises the errors of `ast.parse`.

    A statement in a block may be skipped, so it adds to those before it; one outside of blocks replaces them.
    """
    module = ast.parse(source)
    found: frozenset[str] = frozenset()
    for statement in _statements(module):
        values = [value for bound, value in _assignments(statement) if bound == name]
        if values and statement in module.body and not isinstance(statement, _BLOCKS):
            found = frozenset()
        found |= {v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)}
    return found


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
        case ast.For(target=target) | ast.AsyncFor(target=target) | ast.AugAssign(target=target):
            yield from _pairs(target, None)
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
