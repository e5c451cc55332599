"""Text for responses and logs: paths, module names, times and quoted values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydantic import ValidationError

ROOT = "characters"
UNEXPECTED = "Unexpected error; the server's log has the details."
_MOST_QUOTED = 80


class Lines(str):
    """A text of which the log keeps the lines, such as a traceback; in others it escapes line breaks."""

    __slots__ = ()


def display(path: str) -> str:
    """Return *path* with escapes for bytes that are not UTF-8, so that it can be printed and sent."""
    # Most are plain, and a reload shows the path of every file.
    return path if path.isascii() else path.encode("utf-8", "backslashreplace").decode("utf-8")


def public(text: str) -> str:
    """Replace the module names of a build by those of the author: `characters.x` for `characters.b7.x`."""
    return re.sub(rf"\b{ROOT}\.b\d+\b", ROOT, text)


def quoted(value: object) -> str:
    """Return a JSON value as text for an error message, cut to 80 characters."""
    from pydantic_core import to_json  # the commands start without it

    text = repr(value[: _MOST_QUOTED + 1]) if isinstance(value, str) else to_json(value).decode()
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"


class FieldProblem(NamedTuple):
    """One error of pydantic: the *steps* to the value, its *kind* as pydantic names it, a sentence, and the value."""

    steps: tuple[str | int, ...]
    kind: str
    text: str
    found: Any
    context: dict[str, Any]

    @property
    def path(self) -> str:
        return field_path(self.steps)


def field_problems(error: ValidationError) -> Iterator[FieldProblem]:
    for found in error.errors(include_url=False):
        text = found["msg"].removeprefix("Value error, ")
        yield FieldProblem(found["loc"], found["type"], text, found["input"], found.get("ctx", {}))


def field_path(steps: Iterable[str | int], path: str = "") -> str:
    """Spell *steps*, taken from *path*, as OpenAI does: `messages[0].content`."""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def one_line(value: object) -> str:
    """Spell text of unknown origin so that it neither breaks a line nor sends commands to a terminal."""
    return printable(" ".join(str(value).splitlines()))


def printable(text: str, kept: str = "") -> str:
    """Escape all characters that a terminal may obey except those in *kept*."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def timestamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
