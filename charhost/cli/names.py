"""The names that the files of a directory give their characters, as far as they can be read without running them."""

from __future__ import annotations

import ast

from charhost.character import normal
from charhost.snapshot import Snapshot


def written_names(snapshot: Snapshot) -> dict[str, str | None]:
    """Answer the name of each character file; None where it is computed, or the file cannot be read."""
    return {
        path: _written_name(snapshot.files[path].text) if path in snapshot.files else None
        for path in snapshot.character_paths
    }


def _written_name(source: str) -> str | None:
    try:
        statements = ast.parse(source).body
    except (ValueError, SyntaxError, RecursionError):
        return None
    values = [_value(statement) for statement in statements if "CHARACTER_NAME" in _targets(statement)]
    last = values[-1] if values else None
    return normal(last.value) if isinstance(last, ast.Constant) and isinstance(last.value, str) else None


def _targets(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _value(statement: ast.stmt) -> ast.expr | None:
    return statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
