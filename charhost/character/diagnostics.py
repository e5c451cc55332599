"""Explain the errors of a character file to its author."""

import builtins
import traceback
from collections.abc import Container, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeGuard

from charhost.character.advice import advise
from charhost.errors import CharacterError, DuplicateName, LoadTimeout, ThreadsExhausted, ValidationError
from charhost.report import FileError
from charhost.text import display, public

_MOST_MESSAGE = 2_000
_MOST_TRACEBACK = 8_000
_MOST_READ = 4 * _MOST_TRACEBACK

# Each before its base.
_LABELS = (
    ValidationError,
    DuplicateName,
    CharacterError,
    SyntaxError,
    ImportError,
    OSError,
    ThreadsExhausted,
    LoadTimeout,
)


class HelperFailed(ImportError):
    """A module that failed earlier in the same build is imported again; `failure` is the error of then."""

    def __init__(self, name: str, failure: FileError) -> None:
        super().__init__(f"{name} failed to load", name=name)
        self.failure = failure


def explain(error: BaseException, path: str, location: str, helpers: Container[str] = ()) -> FileError:
    """Return the error for the file at *path* (relative; *location* is absolute), with advice where there is some.

    Never raises, whatever the classes of plugin code do: their `__str__` is called here, so call this on the thread
    and under the deadline that the plugin code itself runs under.
    """
    message = _message(error, location)
    plain = FileError(file=display(path), error_type=_label(error), exception=_name(error), message=message)
    with suppress(BaseException):  # an attribute of a plugin's class has an unusual value
        return _detailed(plain, error, path, location, helpers)
    return plain


def _detailed(plain: FileError, error: BaseException, path: str, location: str, helpers: Container[str]) -> FileError:
    places = list(_places(error))
    lines = [line for name, line in places if name == location]
    if _is(error, HelperFailed):
        failure: FileError = error.failure
        return failure.model_copy(update={"file": plain.file, "line": lines[0] if lines else None})
    folder = location.removesuffix(path)
    elsewhere = next(((n, line) for n, line in places if n.startswith(folder)), None)
    message = plain.message
    if (advice := advise(error, helpers)) is not None:
        message += f": {advice}"
    if elsewhere is not None and elsewhere[0] != location:
        message += f" ({display(elsewhere[0].removeprefix(folder))}, line {elsewhere[1]})"
    noted = error if _is(error, CharacterError) else None
    details = {
        "line": (noted and noted.line) or (lines[0] if lines else None),
        "character": noted and noted.character,
        "message": message,
        "traceback": _traceback(error, folder),
    }
    return FileError.model_validate(dict(plain) | details)


def _places(error: BaseException) -> Iterator[tuple[str, int]]:
    """Yield the innermost place first."""
    if _is(error, SyntaxError) and error.filename and error.lineno:
        yield error.filename, error.lineno
    if _is(error, LoadTimeout):
        yield from error.places
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        yield frame.f_code.co_filename, line


def _label(error: BaseException) -> str:
    """Return the `error_type`, a label of a metric and therefore bounded."""
    for kind in _LABELS:
        if _is(error, kind):
            return kind.__name__
    name = _name(error)
    return name if getattr(builtins, name, None) is type(error) else "Exception"


def _is(error: BaseException, kind: type[BaseException]) -> TypeGuard[Any]:
    # The `__class__` of a plugin's exception may lie to `isinstance`.
    return issubclass(type(error), kind)


def _name(error: BaseException) -> str:
    # Past whatever a metaclass makes of it.
    return _clean(vars(type)["__name__"].__get__(type(error)), 200)


def _message(error: BaseException, location: str) -> str:
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        if isinstance(error, OSError) and error.strerror and error.filename in (None, location):
            text = error.strerror
        return _clean(str(text), _MOST_MESSAGE, is_folded=True) or "(raised without a message)"
    except BaseException as e:
        return f"(its text cannot be shown: {type(e).__name__})"


def _traceback(error: BaseException, folder: str) -> str | None:
    """Render the frames from the first one in *folder* on; a mistake in the text of a file has none."""
    tb = error.__traceback__
    while tb is not None and not tb.tb_frame.f_code.co_filename.startswith(folder):
        tb = tb.tb_next
    if tb is None or isinstance(error, CharacterError):
        return None
    try:
        return _clean("".join(_rendered(error, tb, folder)), _MOST_TRACEBACK)
    except BaseException as e:
        return f"(its traceback cannot be shown: {type(e).__name__})"


def _rendered(error: BaseException, tb: TracebackType, folder: str) -> list[str]:
    if not _is(error, LoadTimeout):
        return traceback.format_exception(type(error), error, tb)
    # It is injected again and again, also where a file is opened for its lines. Those of *folder* are known.
    found = traceback.TracebackException(type(error), error, tb, lookup_lines=False)
    known = [frame for frame in found.stack if frame.filename.startswith(folder)]
    return [*traceback.format_list(known), *found.format_exception_only()]


def _clean(text: str, most: int, *, is_folded: bool = False) -> str:
    # Cut before it is cleaned: plugin code may raise megabytes.
    cleaned = public(display(text[:_MOST_READ]))
    if is_folded:
        cleaned = " ".join(cleaned.split())
    is_whole = len(text) <= _MOST_READ and len(cleaned) <= most
    return cleaned if is_whole else f"{cleaned[:most]}…"
