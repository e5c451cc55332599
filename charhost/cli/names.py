"""The names that the files of a directory give their characters, as far as they can be read without running them."""

from __future__ import annotations

import ast
import re
import unicodedata
from difflib import get_close_matches

from charhost.character.character import normal
from charhost.loading.snapshot import Snapshot

_MOST_STEM = 60
_MOST_NAMES = 10


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


def stem_of(name: str) -> str:
    """Make the name of a file of the name of a character: lower case, and ASCII where that is possible."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.lower()) if not unicodedata.combining(c))
    # What is no letter of the ASCII alphabet after all, as in Chinese, stays as it is.
    stem = re.sub(r"\W+", "_", unicodedata.normalize("NFC", plain)).strip("_")
    while len(stem.encode()) > _MOST_STEM:
        stem = stem[:-1]
    return stem or "character"


def nobody(name: str, known: list[str], place: str) -> str:
    """Say that nobody there is called so, and who there is."""
    if not known:
        return f"there is no character {place}"
    near = _nearest(name, known)
    others = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(known)[:_MOST_NAMES])}"
    return f"there is no {name} {place}; {others}"


def _nearest(name: str, known: list[str]) -> list[str]:
    """Find names that differ in a few letters, or hold this one, whatever the case and the accents."""
    wanted, plain = stem_of(name), {other: stem_of(other) for other in known}
    close = get_close_matches(wanted, plain.values(), cutoff=0.5)
    return [other for other, stem in plain.items() if stem in close or wanted in stem][:_MOST_NAMES]
