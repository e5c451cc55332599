"""How paths, module names, times and what was sent are spelled in answers and logs."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pydantic_core import to_json

ROOT = "characters"
UNEXPECTED = "Unexpected error; the server's log has the details."
_MOST_QUOTED = 80


def display(path: str) -> str:
    """Spell a path that is not UTF-8 with escapes, so that it can be printed and sent."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def public(text: str) -> str:
    """Spell the modules of any build as their authors do: `characters.x`, not `characters.b7.x`."""
    return re.sub(rf"\b{ROOT}\.b\d+\b", ROOT, text)


def quoted(value: object) -> str:
    """Spell what somebody sent in JSON as a word of a sentence, however long it is."""
    text = repr(value) if isinstance(value, str) else to_json(value).decode()
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"


def timestamp() -> str:
    """Spell the present moment as RFC 3339 does, in UTC."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
