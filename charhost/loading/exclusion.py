"""Files and folders below a character directory that are no part of it, whatever they contain."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

# Patterns of .gitignore, for files that tools write beside the one that is being edited, and for folders of packages.
_PATTERNS = (
    *("flycheck_*.py", "flymake_*.py", "*_flymake.py", "~$*.py"),
    *(f"*_{side}_[0-9]*.py" for side in ("BACKUP", "BASE", "LOCAL", "REMOTE")),  # of a git mergetool
    *("site-packages/", "node_modules/"),
)
_ANY_OWN = re.compile("|".join(map(translate, _PATTERNS)))

# An entry of that name marks the folder that it is in.
_MARKERS = {"pyvenv.cfg": "an environment", "conda-meta": "an environment", "CACHEDIR.TAG": "a cache"}


@lru_cache(maxsize=1 << 15)
def why_excluded(path: str, patterns: tuple[str, ...] = ()) -> str | None:
    """Return why *path*, below the directory, is left out; None if it is not. The path of a folder ends in `/`.

    *patterns* come after charhost's own, so one with a `!` takes back one of those.
    """
    index = _last_match(path, patterns) if patterns else _own_match(path)
    if index is None:
        return None
    return f"matches {(*_PATTERNS, *patterns)[index]}" + ("" if index < len(_PATTERNS) else " of --exclude")


def why_marked(names: frozenset[str]) -> str | None:
    """Return why a folder with entries of these *names* is left out; None if it is not."""
    marker = next((marker for marker in _MARKERS if marker in names), None)
    return f"{_MARKERS[marker]}: it has {marker}" if marker else None


def _own_match(path: str) -> int | None:
    """Return which of charhost's own patterns matches: without others a server starts without their library."""
    *folders, _ = names = path.split("/")
    found = filter(_ANY_OWN.match, [*names, *(f"{folder}/" for folder in folders)])
    return next((i for name in found for i, own in enumerate(_PATTERNS) if fnmatchcase(name, own)), None)


def _last_match(path: str, patterns: tuple[str, ...]) -> int | None:
    found = _matcher(patterns).check_file(path)
    return found.index if found.include else None


@lru_cache(maxsize=16)
def _matcher(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    # The others, which are used where they are installed, take no names that are not UTF-8.
    return GitIgnoreSpec.from_lines([*_PATTERNS, *patterns], backend="simple")
