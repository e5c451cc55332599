"""Text for responses and logs: paths, module names, times and quoted values."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pydantic_core import to_json

ROOT = "characters"
UNEXPECTED = "Unexpected error; the server's log has the details."
_MOST_QUOTED = 80


def display(path: str) -> str:
    """Return *path* with escapes for bytes that are not UTF-8, so that it can be printed and sent."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def public(text: str) -> str:
    """Replace the module names of a build by those of the author: `characters.x` for `characters.b7.x`."""
    return re.sub(rf"\b{ROOT}\.b\d+\b", ROOT, text)


def quoted(value: object) -> str:
    """Return a JSON value as text for an error message, cut to 80 characters."""
    text = repr(value) if isinstance(value, str) else to_json(value).decode()
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"


def timestamp() -> str:
    """Return the current time in UTC, as RFC 3339."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
