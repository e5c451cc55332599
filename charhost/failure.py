"""Explain to the author of a character file what went wrong in it."""

from __future__ import annotations

import builtins
import re
import traceback
from collections.abc import Iterator
from types import TracebackType

from charhost.errors import CharacterError, LoadTimeout
from charhost.report import FileError

ROOT = "characters"
_MOST_MESSAGE = 2_000
_MOST_TRACEBACK = 8_000


class HelperFailed(ImportError):
    """A module that failed earlier in the same build is imported again; `failure` says what happened then."""

    def __init__(self, name: str, failure: FileError) -> None:
        super().__init__(f"{name} failed to load", name=name)
        self.failure = failure


def explain(error: BaseException, path: str, location: str) -> FileError:
    """Say why the file at *path* (relative; *location* is absolute) did not load.

    Never raises, whatever the classes of plugin code do: their `__str__` is called here, so call this on the thread
    and under the deadline that the plugin code itself runs under.
    """
    places = list(_places(error))
    lines = [line for name, line in places if name == location]
    if isinstance(error, HelperFailed):
        return error.failure.model_copy(update={"file": display(path), "line": lines[0] if lines else None})
    folder = location.removesuffix(path)
    elsewhere = next(((n, line) for n, line in places if n.startswith(folder)), None)
    message = _message(error)
    if elsewhere is not None and elsewhere[0] != location:
        message += f" ({display(elsewhere[0].removeprefix(folder))}, line {elsewhere[1]})"
    return FileError(
        file=display(path),
        line=lines[0] if lines else None,
        character=error.character if isinstance(error, CharacterError) else None,
        error_type=_label(error),
        exception=_clean(type(error).__name__, 200),
        message=message,
        traceback=_traceback(error, folder),
    )


def public(text: str) -> str:
    """Spell the modules of any build as their authors do: `characters.x`, not `characters.b7.x`."""
    return re.sub(rf"\b{ROOT}\.b\d+\b", ROOT, text)


def display(path: str) -> str:
    """Spell a path that is not UTF-8 with escapes, so that it can be printed and sent."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _places(error: BaseException) -> Iterator[tuple[str, int]]:
    """Yield where it happened, the innermost place first."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        yield error.filename, error.lineno
    if isinstance(error, LoadTimeout):
        yield from error.places
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    yield from reversed(frames)


def _label(error: BaseException) -> str:
    """Choose the `error_type`, a label of a metric and therefore bounded."""
    for kind in (CharacterError, SyntaxError, ImportError, OSError, LoadTimeout):
        if isinstance(error, kind):
            return type(error).__name__ if kind is CharacterError else kind.__name__
    name = type(error).__name__
    return name if getattr(builtins, name, None) is type(error) else "Exception"


def _message(error: BaseException) -> str:
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        if isinstance(error, OSError) and error.strerror and not error.args[2:]:
            text = error.strerror
        return _clean(" ".join(str(text).split()), _MOST_MESSAGE)
    except BaseException as e:
        return f"(its text cannot be shown: {type(e).__name__})"


def _traceback(error: BaseException, folder: str) -> str | None:
    """Render the frames from the first one in *folder* on; a mistake in the text of a file has none."""
    tb: TracebackType | None = error.__traceback__
    while tb is not None and not tb.tb_frame.f_code.co_filename.startswith(folder):
        tb = tb.tb_next
    if tb is None or isinstance(error, CharacterError):
        return None
    try:
        return _clean("".join(traceback.format_exception(type(error), error, tb)), _MOST_TRACEBACK)
    except BaseException as e:
        return f"(its traceback cannot be shown: {type(e).__name__})"


def _clean(text: str, most: int) -> str:
    text = public(display(text))
    return text if len(text) <= most else f"{text[:most]}…"
