"""The code, text and lines of a source file are those of its bytes, never of bytecode or the disk."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import inspect
import linecache
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Limits, take_snapshot
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
