"""How paths, module names and times are spelled in answers and logs."""

from __future__ import annotations

import re
from datetime import UTC, datetime

ROOT = "characters"
UNEXPECTED = "Unexpected error; the server's log has the details."


def display(path: str) -> str:
    """Spell a path that is not UTF-8 with escapes, so that it can be printed and sent."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def public(text: str) -> str:
    """Spell the modules of any build as their authors do: `characters.x`, not `characters.b7.x`."""
    return re.sub(rf"\b{ROOT}\.b\d+\b", ROOT, text)


def timestamp() -> str:
    """Spell the present moment as RFC 3339 does, in UTC."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
