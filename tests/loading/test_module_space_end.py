"""A build that is dropped leaves nothing behind."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.loading.module_space import ModuleSpace
from tests.loading.helpers import left_of, space_of
from tests.reload.helpers import Write


def test_retired_build_leaves_nothing(directory: Path, write: Write) -> None:
    """The modules of a dropped build leave `sys.modules` and are collected (promise 25)."""
    write("resources/x.py", "class Y: pass")
    write("ada.py", "from .resources.x import Y\nimport characters.resources.x as z\ndef f(): return Y")
    space = space_of(directory)
    build, module = space.build, weakref.ref(space.load("ada.py"))
    assert left_of(build)
    del space
    gc.collect()
    assert (left_of(build), module()) == ([], None)


def test_retired_build_leaves_no_logger(directory: Path, write: Write) -> None:
    """The loggers of a dropped build are removed (promise 25)."""
    write("resources/x.py", "import logging\nlogging.getLogger(__name__ + '.deep')")
    write("uncommon.py", "import logging\nLOG = logging.getLogger(__name__)\nfrom .resources import x")
    space = space_of(directory)
    build, logger = space.build, weakref.ref(space.load("uncommon.py").LOG)
    del space
    gc.collect()
    assert (left_of(build), logger()) == ([], None)


def test_failed_build_leaves_nothing(directory: Path, write: Write) -> None:
    """A build in which every file failed leaves nothing behind."""
    write("ada.py", "from . import _helper\nraise RuntimeError('arr')")
    write("_helper.py", "")
    space = space_of(directory)
    build = space.build
    with pytest.raises(RuntimeError):
        space.load("ada.py")
    del space
    gc.collect()
    assert left_of(build) == []


def test_published_build_leaves_nothing(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """A dropped build is also gone under its public names."""
    before = set(sys.modules)
    space = imports_by_name("old")
    module = weakref.ref(space.load("ada.py"))
    importlib.import_module("characters.ada").value()
    del space
    gc.collect()
    assert [name for name in set(sys.modules) - before if name.startswith("characters.")] == []
    assert module() is None


def test_replaced_build_leaves_nothing_under_its_public_names(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """The modules of a computed import are gone once another build is published."""
    first = imports_by_name("old")
    module = weakref.ref(first.load("ada.py"))
    importlib.import_module("characters.ada").value()
    second = imports_by_name("new")
    del first
    gc.collect()
    assert module() is None
    del second


def test_build_lives_as_long_as_its_space(directory: Path, write: Write) -> None:
    """A build that is referenced is not affected by the end of others."""
    write("ada.py", "def f():\n    from . import _late\n    return _late.Y")
    write("_late.py", "Y = 1")
    kept, dropped = space_of(directory), space_of(directory)
    function = kept.load("ada.py").f
    dropped.load("ada.py").f()
    del dropped
    gc.collect()
    assert function() == 1


def test_build_numbers_are_never_used_twice(directory: Path) -> None:
    """Each build has a number of its own, also after the one before is gone."""
    numbers = [space_of(directory).build for _ in range(5)]
    assert numbers == sorted(set(numbers))
