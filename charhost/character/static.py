"""What a file's source defines, read without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def line_of(source: str, name: str) -> int | None:
    """Find the line of a file that binds *name*, or `Class.method`; for a method that is absent, the class's."""
    first, _, method = name.partition(".")
    found = None
    for node in _statements(ast.parse(source)):
        if first in _bound_by(node):
            found = node
    if found is None:
        return None
    body = found.body if isinstance(found, ast.ClassDef) else []
    inner = [node for node in body if isinstance(node, ast.stmt) and method in _bound_by(node)]
    return (inner[-1] if method and inner else found).lineno


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a module, not those in its functions and classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            yield from _statements(child)


def _bound_by(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
