"""The error of a character file that failed: its file, line, type, message and traceback."""

from __future__ import annotations

import linecache
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.character.diagnostics import explain
from charhost.errors import DuplicateName, LoadTimeout, ValidationError
from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.report import FileError
from charhost.text import display, public
from tests.reload.helpers import Write

Why = Callable[..., FileError]


@pytest.fixture
def why(directory: Path, write: Write) -> Why:
    """Return the error of a file with that source: `why("1 / 0")`."""

    def why(source: str, path: str = "ada.py") -> FileError:
        write(path, source)
        space = ModuleSpace(take_snapshot(directory, Limits(files=100, bytes=1 << 24, file_bytes=1 << 24)))
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            space.load(path)
        return explain(caught.value, path, str(directory / path))

    return why


def explained(error: BaseException) -> FileError:
    return explain(error, "ada.py", "/characters/ada.py")


# The line


@pytest.mark.parametrize(
    ("source", "line", "error_type", "exception"),
    [
        ("X = 1\n\nx = (", 3, "SyntaxError", "SyntaxError"),
        ("if True:\nX = 1", 2, "SyntaxError", "IndentationError"),
        ("if True:\n        X = 1\n\tY = 1", 3, "SyntaxError", "TabError"),
        ("X = 1\nreturn", 2, "SyntaxError", "SyntaxError"),
        ("\n\n1 / 0", 3, "ZeroDivisionError", "ZeroDivisionError"),
        ("import json\njson.loads('')", 2, "Exception", "JSONDecodeError"),
        ("def f():\n    raise ValueError('arr')\n\nf()", 2, "ValueError", "ValueError"),
        ("X = 1\nimport no_such_package", 2, "ImportError", "ModuleNotFoundError"),
        ("from json import nothing", 1, "ImportError", "ImportError"),
        ("X = 1\nopen('/no/such/file')", 2, "OSError", "FileNotFoundError"),
        ("def f():\n    f()\nf()", 2, "RecursionError", "RecursionError"),
        ("X = 1\nraise SystemExit(3)", 2, "SystemExit", "SystemExit"),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt", "KeyboardInterrupt"),
        ("class Odd(Exception): ...\nraise Odd", 2, "Exception", "Odd"),
        ("try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise OSError('arr')", 4, "OSError", "OSError"),
        ("raise ExceptionGroup('two', [ValueError()])", 1, "ExceptionGroup", "ExceptionGroup"),
        ("compile('x = (', 'other', 'exec')", 1, "SyntaxError", "SyntaxError"),
    ],
)
def test_error_in_the_file(why: Why, source: str, line: int, error_type: str, exception: str) -> None:
    """An error has the file, the innermost line in it, a bounded type and the exact class (promise 4)."""
    error = why(source)
    assert (error.file, error.line) == ("ada.py", line)
    assert (error.error_type, error.exception) == (error_type, exception)


@pytest.mark.parametrize(
    ("helper", "line", "text"),
    [
        ("\n1 / 0", 2, "division by zero"),
        ("X = 1\nx = (", 2, "'(' was never closed"),
        ("import json\nX = 2\njson.loads('')", 3, "Expecting value"),
        ("from . import y", 1, "cannot import name 'y' from 'characters.resources'"),
    ],
)
def test_error_in_a_helper(why: Why, write: Write, helper: str, line: int, text: str) -> None:
    """An error in a helper has the line of the import, and its message names the helper and the line there."""
    write("resources/x.py", helper)
    error = why("X = 1\n\nfrom .resources import x")
    assert (error.file, error.line) == ("ada.py", 3)
    assert error.message.startswith(text)
    assert error.message.endswith(f" (resources/x.py, line {line})")


def test_error_in_a_function_of_a_helper(why: Why, write: Write) -> None:
    """An error in a helper's function has the line of the call, and its message names the helper."""
    write("_helper.py", "def f():\n    return 1 / 0")
    error = why("from ._helper import f\nX = f()")
    assert (error.line, error.message) == (2, "division by zero (_helper.py, line 2)")


def test_error_in_the_init_of_the_directory(why: Why, write: Write) -> None:
    """An error in the directory's `__init__.py` has no line, and its message names that file."""
    write("__init__.py", "\n1 / 0")
    error = why("X = 1")
    assert (error.line, error.message) == (None, "division by zero (__init__.py, line 2)")


@pytest.mark.parametrize("source", [b"# coding: nonsense\n", b"X = '\xff'\n", b"X = 1\0\n"])
def test_bytes_that_are_no_text(why: Why, directory: Path, source: bytes) -> None:
    """Bytes that are no source text are an error with a message."""
    (directory / "bob.py").write_bytes(source)
    error = why("from . import bob")
    assert error.exception in ("SyntaxError", "ValueError")
    assert error.message


def test_line_of_a_character_error() -> None:
    """The error of an attribute has the line and the character of the exception."""
    error = explained(ValidationError("METADATA is 5: expected a dict", 12, "Ada"))
    assert (error.line, error.character, error.message) == (12, "Ada", "METADATA is 5: expected a dict")


def test_lines_of_a_timeout() -> None:
    """A file over its deadline has the line that was running."""
    places = (("/usr/lib/python3/time.py", 3), ("/characters/_helper.py", 4), ("/characters/ada.py", 7))
    error = explained(LoadTimeout("not finished after 5 s", places))
    assert (error.line, error.message) == (7, "not finished after 5 s (_helper.py, line 4)")


def test_message_of_an_unreadable_file() -> None:
    """The message of an operating system's error is its own, without the path."""
    error = explained(PermissionError(13, "Permission denied"))
    assert (error.error_type, error.exception, error.line) == ("OSError", "PermissionError", None)
    assert error.message == "Permission denied"


def test_missing_data_file_keeps_its_path(why: Why) -> None:
    """An error about another file that a character opens keeps its path."""
    assert "/no/such/file" in why("open('/no/such/file')").message


# The label


@pytest.mark.parametrize("error", [ValidationError("x"), DuplicateName("x"), LoadTimeout()])
def test_own_errors_are_labels(error: BaseException) -> None:
    """The label of charhost's own errors is their class."""
    assert explained(error).error_type == type(error).__name__


@pytest.mark.parametrize(
    "source",
    [
        "class ValueError(Exception): ...\nraise ValueError",
        "class Odd(ValueError): ...\nraise Odd",
        "class Odd(SystemExit): ...\nraise Odd",
        "class Odd(BaseException): ...\nraise Odd",
        "class LoadTimeout(BaseException): ...\nraise LoadTimeout",
        "Odd = type('Odd' * 1000, (Exception,), {})\nraise Odd",
        "class Odd(Exception):\n    __class__ = KeyError\nraise Odd",
    ],
)
def test_classes_of_plugins_are_no_labels(why: Why, source: str) -> None:
    """The label of a class defined in a file is `Exception`, whatever its name: metric labels are bounded."""
    error = why(source)
    assert error.error_type == "Exception"
    assert len(error.exception) < 300


@pytest.mark.parametrize("base", ["ValidationError", "CharacterError"])
def test_own_errors_extended_by_plugins_are_no_labels(why: Why, base: str) -> None:
    """A class derived from charhost's errors makes no new label."""
    error = why(f"from charhost.errors import {base}\nclass Odd(({base})): ...\nraise Odd('x')")
    assert error.error_type in ("Exception", "ValidationError", "CharacterError")


# Hostile classes

HOSTILE = {
    "__str__ raises": ("class Odd(Exception):\n    def __str__(self): 1 / 0\nraise Odd", "Odd"),
    "__str__ exits": ("class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd", "Odd"),
    "__str__ is no text": ("class Odd(Exception):\n    def __str__(self): return 5\nraise Odd", "Odd"),
    "__repr__ raises": ("class Odd(Exception):\n    def __repr__(self): 1 / 0\nraise Odd(Odd())", "Odd"),
    "text is huge": ("raise ValueError('x' * 10_000_000)", "ValueError"),
    "text is surrogates": ("raise ValueError('\\udce9')", "ValueError"),
    "pretends to be a SyntaxError": ("class Odd(Exception):\n    __class__ = SyntaxError\nraise Odd", "Odd"),
    "pretends to be a CharacterError": (
        "from charhost.errors import CharacterError\nclass Odd(Exception):\n    __class__ = CharacterError\nraise Odd",
        "Odd",
    ),
    "pretends to be nothing": ("class Odd(Exception):\n    __class__ = property(lambda self: 1 / 0)\nraise Odd", "Odd"),
    "name raises": (
        "class Meta(type):\n    __name__ = property(lambda self: 1 / 0)\n"
        "class Odd(Exception, metaclass=Meta): ...\nraise Odd",
        "Odd",
    ),
    "traceback raises": ("class Odd(Exception):\n    __traceback__ = property(lambda self: 1 / 0)\nraise Odd", "Odd"),
    "file name is no text": ("e = SyntaxError('x')\ne.filename, e.lineno = 5, 3\nraise e", "SyntaxError"),
    "line is no number": ("e = SyntaxError('x')\ne.filename, e.lineno = __file__, 'three'\nraise e", "SyntaxError"),
    "message is no text": ("e = SyntaxError('x')\ne.msg = object()\nraise e", "SyntaxError"),
    "attributes of no sense": (
        "from charhost.errors import ValidationError\nraise ValidationError(5, 'x', object())",
        "ValidationError",
    ),
    "getattribute raises": ("class Odd(Exception):\n    def __getattribute__(self, name): 1 / 0\nraise Odd", "Odd"),
}


@pytest.mark.parametrize(("source", "exception"), HOSTILE.values(), ids=HOSTILE)
def test_explanation_never_raises(why: Why, source: str, exception: str) -> None:
    """However an exception misbehaves, its error has its class, a bounded label and a bounded text."""
    error = why(source)
    assert error.exception == exception
    assert error.error_type == ("Exception" if exception == "Odd" else exception)
    assert len(error.model_dump_json()) < 30_000


def test_text_that_cannot_be_made_has_its_error(why: Why) -> None:
    """The message of an exception whose `__str__` raises has that second error."""
    assert why(HOSTILE["__str__ raises"][0]).message == "(its text cannot be shown: ZeroDivisionError)"


# Texts


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError(__name__)",
        "raise RuntimeError(__name__, __package__)",
        "from . import absent",
        "from .resources.x import absent",
        "import characters.resources.absent",
        "class A: ...\nraise RuntimeError(A())",
        "class A: ...\nA.b()",
        "from .resources.x import f\nf()",
        "class Odd(Exception): ...\nraise Odd('x')",
        "class Odd(Exception): ...\nraise ExceptionGroup('x', [Odd()])",
        "raise type(__name__, (Exception,), {})",
    ],
)
def test_numbers_of_builds_are_removed(why: Why, write: Write, source: str) -> None:
    """Messages, class names and tracebacks have `characters.x`, never `characters.b7.x`."""
    write("resources/x.py", "def f(): raise RuntimeError(__name__)")
    assert not re.search(r"characters\.b\d", why(source).model_dump_json())


def test_public_name_of_a_module_of_a_build() -> None:
    """Only the number of the build is removed."""
    assert public("from characters.b7.x and characters.b12, not characters.bob") == (
        "from characters.x and characters, not characters.bob"
    )


def test_message_is_one_line(why: Why) -> None:
    """A message of several lines becomes one line."""
    assert why("raise ValueError('one\\n  two\\tthree')").message == "one two three"


def test_traceback_begins_in_the_directory(why: Why, directory: Path, write: Write) -> None:
    """A traceback has the frames of the character's files, and none of charhost's."""
    write("_helper.py", "def f():\n    return 1 / 0")
    found = why("from ._helper import f\nX = f()").traceback or ""
    assert re.findall(r'File "(.*)"', found) == [str(directory / "ada.py"), str(directory / "_helper.py")]
    assert "return 1 / 0" in found


def test_traceback_of_a_deadline_opens_no_file(why: Why, directory: Path) -> None:
    """The exception that ends a job comes again and again: where a file is opened, it would leave it open."""
    linecache.clearcache()
    source = "import textwrap\nfrom charhost.errors import LoadTimeout\ndef late(_): raise LoadTimeout\n"
    again = "try:\n    textwrap.indent('x', '', late)\nfinally:\n    textwrap.indent('x', '', late)"
    found = why(f"{source}{again}").traceback or ""
    assert re.findall(r'File "(.*)", line (\d+)', found) == [(str(directory / "ada.py"), line) for line in "73"]
    assert "textwrap.indent('x', '', late)" in found
    assert found.endswith("LoadTimeout: over its deadline\n")
    assert len(linecache.cache.get(textwrap.__file__, ())) <= 1  # an entry of four parts has its lines


def test_traceback_is_bounded(why: Why) -> None:
    """The traceback of many frames and long lines is bounded."""
    source = "".join(f"def f{n}(): f{n + 1}()  # {'x' * 200}\n" for n in range(100))
    assert len(why(f"{source}\nf0()").traceback or "") < 10_000


@pytest.mark.parametrize("source", ["x = (", "from charhost.errors import ValidationError\nraise ValidationError('x')"])
def test_syntax_and_validation_errors_have_no_traceback(why: Why, source: str) -> None:
    """A syntax error and a validation error have no traceback."""
    assert why(source).traceback is None


def test_file_name_that_is_not_utf_8_is_escaped(why: Why, write: Write) -> None:
    """File names that are not UTF-8 are escaped."""
    error = why("from importlib import import_module\n1 / 0", "caf\udce9.py")
    assert error.file == "caf\\udce9.py"
    assert error.model_dump_json()
    assert display("café") == "café"


def test_error_reads_as_one_line(why: Why) -> None:
    """As text an error is one line as compilers print it: file, line, type and message."""
    assert str(why("\n1 / 0")) == "ada.py:2: ZeroDivisionError: division by zero"


def test_a_text_of_megabytes_is_cut_before_it_is_cleaned() -> None:
    """A long text is cut, with an ellipsis, before its white space is cleaned."""
    found = explain(ValueError(" \n" * 10 + "x " * 5_000_000), "ada.py", "/characters/ada.py")
    assert found.message == "x " * 1_000 + "…"
