"""A source file: its code, text and lines are those of its bytes, and its imports are found in its code."""

from __future__ import annotations

import ast
import asyncio
import email
import gc
import importlib
import importlib.util
import inspect
import json
import linecache
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from types import ModuleType

import pytest

from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.loading.source_file import Import, imports_of
from tests.loading.helpers import space_of
from tests.reload.helpers import Write


def test_getsource_shows_the_running_code(directory: Path, write: Write) -> None:
    """`inspect.getsource` returns the source of the build, also when the disk has another or none."""
    write("ada.py", "def f():\n    return 'old'\n")
    space = space_of(directory)
    function = space.load("ada.py").f
    write("ada.py", "\n\n\ndef f():\n    return 'new'\n")
    linecache.checkcache()
    assert inspect.getsource(function) == "def f():\n    return 'old'\n"
    shutil.rmtree(directory)
    linecache.checkcache()
    assert inspect.getsource(function) == "def f():\n    return 'old'\n"


def test_traceback_shows_the_running_code(directory: Path, write: Write) -> None:
    """The lines of a traceback are those of the build, not those of the disk."""
    write("ada.py", "def f():\n    return 1 / 0  # old\n")
    space = space_of(directory)
    function = space.load("ada.py").f
    write("ada.py", "def f():\n    return 1 / 0  # new\n")
    with pytest.raises(ZeroDivisionError) as caught:
        function()
    assert "1 / 0  # old" in "".join(traceback.format_exception(caught.value))
    del space


@pytest.mark.parametrize(
    "source", [b"\xef\xbb\xbfX = '\xc3\xa9'", b"# coding: latin-1\nX = '\xe9'", b"X = '\xc3\xa9'\r\n"]
)
def test_encodings_are_python_s_own(directory: Path, source: bytes) -> None:
    """A byte order mark, a declared encoding and Windows line ends are read as Python reads them."""
    (directory / "ada.py").write_bytes(source)
    assert space_of(directory).load("ada.py").X == "é"


def test_no_bytecode_is_written(directory: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bytecode is written into a character directory (promise 27)."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write("resources/x.py", "")
    write("ada.py", "from .resources import x")
    space_of(directory).load("ada.py")
    assert list(directory.rglob("*.pyc")) == list(directory.rglob("__pycache__")) == []


def naive_load(path: Path) -> ModuleType:
    """Import a file with Python's own loader."""
    spec = importlib.util.spec_from_file_location("naive", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def edits(path: Path) -> Iterator[int]:
    """Write a file twenty times with the same mtime and size."""
    for number in range(10, 30):
        path.write_text(f"X = {number}")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        yield number


def test_naive_loader_runs_stale_code(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own loader, with bytecode on, runs old code after an edit with the same mtime and size."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = directory / "ada.py"
    assert [naive_load(path).X for _ in edits(path)] == [10] * 20


def test_changed_code_is_the_code_that_runs(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty edits with the same mtime and size run twenty times as edited (promise 26)."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = directory / "ada.py"
    naive_load(path)  # leaves bytecode that looks valid
    assert [space_of(directory).load("ada.py").X for _ in edits(path)] == list(range(10, 30))


def test_changed_helper_is_the_helper_that_runs(directory: Path, write: Write) -> None:
    """Twenty edits of a helper run as edited, with snapshots taken from one another (promise 26)."""
    helper = write("_helper.py", "")
    write("ada.py", "from ._helper import X")
    seen, snapshot = [], None
    for _ in edits(helper):
        snapshot = take_snapshot(directory, Limits(files=100, bytes=1 << 20, file_bytes=1 << 20), snapshot)
        seen.append(ModuleSpace(snapshot).load("ada.py").X)
    assert seen == list(range(10, 30))


def test_shown_source_goes_with_the_build(directory: Path) -> None:
    """The source in `linecache` is removed with its snapshot (promise 25)."""
    space = space_of(directory)
    space.load("ada.py")
    assert str(directory / "ada.py") in linecache.cache
    del space
    gc.collect()
    assert str(directory / "ada.py") not in linecache.cache


def test_newer_source_stays_when_the_older_build_goes(directory: Path, write: Write) -> None:
    """The end of an older build does not remove the source of a newer one."""
    write("ada.py", "X = 'old'\n")
    old = space_of(directory)
    old.load("ada.py")
    write("ada.py", "X = 'new'\n")
    new = space_of(directory)
    new.load("ada.py")
    del old
    gc.collect()
    shutil.rmtree(directory)
    assert linecache.getlines(str(directory / "ada.py")) == ["X = 'new'\n"]
    del new


# Imports


def imports(source: str) -> list[Import]:
    return list(imports_of(compile(source, "ada.py", "exec")))


FORMS = {
    "import characters": (0, "characters", ()),
    "import characters.x": (0, "characters.x", ()),
    "import characters.resources.x as z": (0, "characters.resources.x", ()),
    "from characters import x": (0, "characters", ("x",)),
    "from characters.resources.x import Y, Z": (0, "characters.resources.x", ("Y", "Z")),
    "from characters.x import Y as Z": (0, "characters.x", ("Y",)),
    "from . import x": (1, "", ("x",)),
    "from .x import Y": (1, "x", ("Y",)),
    "from .resources.x import Y": (1, "resources.x", ("Y",)),
    "from .. import x": (2, "", ("x",)),
    "from ...a.b import x": (3, "a.b", ("x",)),
}
PLACES = {
    "top level": "{}",
    "function": "def f():\n{}",
    "class": "class A:\n{}",
    "method": "class A:\n def f(self):\n{}",
    "coroutine": "async def f():\n{}",
    "nested function": "def f():\n def g():\n  def h():\n{}",
    "branch": "if __name__:\n pass\nelse:\n{}",
    "try": "try:\n{}\nexcept ImportError:\n pass",
    "except": "try:\n pass\nexcept ImportError:\n{}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("statement", FORMS)
def test_every_form_is_found_in_every_place(statement: str, place: str) -> None:
    """An import is found with its level, name and names, in any block."""
    block = statement if place == "top level" else indent(statement, " " * 4)
    assert imports(PLACES[place].format(block)) == [Import(*FORMS[statement])]


def test_star_is_a_name() -> None:
    """`from .x import *` is an import of the name `*`."""
    assert imports("from .x import *") == [Import(1, "x", ("*",))]


@pytest.mark.parametrize(
    "source", ["import json", "from os.path import join", "import charactersheet", "import my.characters", "X = 1"]
)
def test_imports_from_elsewhere_are_left_out(source: str) -> None:
    """Only `characters` and relative imports are found, since others cannot mean files of the directory."""
    assert imports(source) == []


def test_several_imports_are_found_in_order() -> None:
    """Each statement is one import, in order, also where one line has several."""
    found = imports("import characters.a, json, characters.b\nfrom .c import d\nimport os\nfrom . import e")
    assert [(one.name, one.names) for one in found] == [
        ("characters.a", ()),
        ("characters.b", ()),
        ("c", ("d",)),
        ("", ("e",)),
    ]


@pytest.mark.parametrize("count", [300, 70_000])
def test_import_after_many_names_is_found(count: int) -> None:
    """An import is found where the bytecode needs extended arguments."""
    names = "\n".join(f"n{number} = {number}.5" for number in range(count))
    assert imports(f"{names}\nfrom ..late import later") == [Import(2, "late", ("later",))]


@pytest.mark.parametrize("package", [asyncio, email, json])
def test_imports_of_real_packages_equal_those_of_their_syntax_trees(package: ModuleType) -> None:
    """In the standard library the imports in the bytecode equal those in the syntax tree."""
    for path in Path(str(package.__file__)).parent.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.level]
        expected = [(node.level, node.module or "", tuple(a.name for a in node.names)) for node in statements]
        assert sorted(imports(source)) == sorted(expected), path


@pytest.mark.parametrize(
    ("level", "name", "package", "base"),
    [
        (0, "characters", "", ""),
        (0, "characters.x", "", "x"),
        (0, "characters.x.y", "resources", "x.y"),
        (1, "", "", ""),
        (1, "x", "", "x"),
        (1, "", "resources", "resources"),
        (1, "x", "a.b", "a.b.x"),
        (2, "x", "resources", "x"),
        (2, "", "a.b", "a"),
        (3, "x", "a.b", "x"),
        (2, "x", "", None),
        (4, "x", "a.b", None),
    ],
)
def test_base_is_relative_to_the_directory(level: int, name: str, package: str, base: str | None) -> None:
    """The base of an import is relative to the directory; beyond its top it is None."""
    assert Import(level, name, ()).base(package) == base
