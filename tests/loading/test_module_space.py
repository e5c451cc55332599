"""Where the modules of a build come from, and when they go."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import inspect
import linecache
import logging
import os
import shutil
import sys
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from charhost.character.diagnostics import HelperFailed, explain
from charhost.loading.module_space import ModuleSpace
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot
from charhost.report import FileError

Write = Callable[[str, str], Path]


def space_of(directory: Path, earlier: Snapshot | None = None) -> ModuleSpace:
    """A build of what the directory holds now."""
    return ModuleSpace(take_snapshot(directory, Limits(files=100, bytes=1 << 20, file_bytes=1 << 20), earlier))


def left_of(build: int) -> list[str]:
    """The traces of a build: its modules, its loggers, its attribute on the package."""
    prefix = f"characters.b{build}"
    names = [*sys.modules, *logging.Logger.manager.loggerDict]
    found = [name for name in names if name == prefix or name.startswith(f"{prefix}.")]
    return found + [name for name in vars(sys.modules["characters"]) if name == f"b{build}"]


# Imports

FORMS = {
    "from characters.resources.x import Y": "Y",
    "from characters.resources import x": "x.Y",
    "import characters.resources.x as z": "z.Y",
    "import characters.resources.x": "characters.resources.x.Y",
    "from .resources.x import Y": "Y",
    "from .resources import x": "x.Y",
    "from . import sibling": "sibling.Y",
    "from characters import sibling": "sibling.Y",
    "import characters.sibling as z": "z.Y",
    "import characters, characters.sibling": "characters.sibling.Y",
    "import importlib; z = importlib.import_module('.sibling', __package__)": "z.Y",
}
each_form = pytest.mark.parametrize(("statement", "value"), FORMS.items())


@pytest.fixture
def helpers(write: Write) -> Callable[[str], None]:
    """Writes the two helpers that the forms import, each with that text as its Y."""

    def helpers(text: str) -> None:
        write("resources/x.py", f"Y = {text!r}")
        write("sibling.py", f"Y = {text!r}")

    return helpers


@each_form
def test_import_at_top_level(
    directory: Path, write: Write, helpers: Callable[[str], None], statement: str, value: str
) -> None:
    """Each form of import that character files use finds the helper of their directory."""
    helpers("mine")
    write("ada.py", f"{statement}\nVALUE = {value}\n")
    assert space_of(directory).load("ada.py").VALUE == "mine"


@each_form
def test_late_import_finds_what_was_hashed(
    directory: Path, write: Write, helpers: Callable[[str], None], statement: str, value: str
) -> None:
    """An import in a function finds the bytes of its build, though the disk changed and is gone (promise 10)."""
    helpers("old")
    write("ada.py", f"def value():\n    {statement}\n    return {value}\n")
    old = space_of(directory)
    module = old.load("ada.py")
    helpers("new")
    new = space_of(directory)
    new.publish()
    assert new.load("ada.py").value() == "new"
    shutil.rmtree(directory)
    assert module.value() == "old"


def test_star_import_from_a_package(directory: Path, write: Write) -> None:
    """`from .x import *` binds what `__all__` lists, submodules among it."""
    write("resources/__init__.py", "__all__ = ['x']")
    write("resources/x.py", "Y = 1")
    write("ada.py", "from .resources import *")
    assert space_of(directory).load("ada.py").x.Y == 1


def test_imports_upwards(directory: Path, write: Write) -> None:
    """A helper in a folder reaches those above it."""
    write("deep/er/x.py", "from ... import _top\nfrom ..y import Z\nfrom characters._top import TOP")
    write("deep/y.py", "from .er import Z")
    write("deep/er/__init__.py", "Z = 2")
    write("_top.py", "TOP = 1")
    write("ada.py", "from .deep.er.x import _top, Z, TOP")
    module = space_of(directory).load("ada.py")
    assert (module._top.TOP, module.TOP, module.Z) == (1, 1, 2)


@pytest.mark.parametrize("path", ["ada.py", "resources/x.py"])
@pytest.mark.parametrize("statement", ["from .. import x", "from ..x import y", "from ..b1 import y"])
def test_import_beyond_the_top_is_refused(directory: Path, write: Write, path: str, statement: str) -> None:
    """No relative import leads out of the directory, to other builds."""
    write(path, statement.replace("..", "." * (2 + path.count("/"))))
    with pytest.raises(ImportError, match="beyond top-level package"):
        space_of(directory).load(path)


def test_circular_imports(directory: Path, write: Write) -> None:
    """Helpers may import each other, as anywhere in Python."""
    write("_a.py", "from . import _b\nA = 1")
    write("_b.py", "import characters._a as a\nfrom characters import _a\ndef total():\n    return a.A + _a.A")
    write("ada.py", "from ._b import total")
    assert space_of(directory).load("ada.py").total() == 2


def test_helper_runs_once_in_a_build(directory: Path, write: Write) -> None:
    """Two files of one build share a helper, however they spell its name."""
    write("_state.py", "SEEN = []")
    write("ada.py", "from characters import _state")
    write("bob.py", "from . import _state")
    space = space_of(directory)
    assert space.load("ada.py")._state is space.load("bob.py")._state


def test_other_imports_are_python_s_own(directory: Path, write: Write) -> None:
    """Modules of the standard library are the ones that everybody has."""
    write("ada.py", "import json\nfrom os import path\nimport importlib.util as u\n__import__('email.message')")
    module = space_of(directory).load("ada.py")
    assert (module.json, module.path, module.u) == (sys.modules["json"], os.path, importlib.util)


def test_missing_helper_is_missing(directory: Path, write: Write) -> None:
    """A helper that is not there is a ModuleNotFoundError that names it as its author does."""
    write("ada.py", "from characters.resources import nothing")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'characters\.resources'$"):
        space_of(directory).load("ada.py")


def test_init_of_the_directory_runs_first(directory: Path, write: Write) -> None:
    """The `__init__.py` of the directory is the package `characters` of the build."""
    write("__init__.py", "import sys\nHOUSE = 'ours'")
    write("ada.py", "import characters\nfrom characters import HOUSE\nVALUE = characters.HOUSE, HOUSE")
    assert space_of(directory).load("ada.py").VALUE == ("ours", "ours")


# Builds do not meet


def test_two_builds_do_not_mix(directory: Path, write: Write) -> None:
    """A build has its own modules of everything, so what one changes in a helper the other does not see."""
    write("_state.py", "SEEN = []")
    write("ada.py", "from ._state import SEEN")
    first, second = space_of(directory), space_of(directory)
    first.load("ada.py").SEEN.append("first")
    assert second.load("ada.py").SEEN == []


def test_helper_of_another_directory_is_never_used(directory: Path, write: Write, tmp_path: Path) -> None:
    """A helper that only another directory has is missing, though it was loaded and published (promise 26)."""
    write("_shared.py", "Y = 1")
    other = space_of(directory)
    other.load("_shared.py")
    other.publish()
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "bob.py").write_text("from characters._shared import Y")
    with pytest.raises(ModuleNotFoundError, match=r"characters\._shared"):
        space_of(tmp_path / "second").load("bob.py")


@pytest.mark.parametrize("statement", ["import characters.elsewhere", "from . import elsewhere"])
def test_package_of_that_name_on_the_path_is_never_used(
    directory: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Another package `characters` that Python could import lends no modules (promise 26)."""
    (tmp_path / "path" / "characters").mkdir(parents=True)
    (tmp_path / "path" / "characters" / "elsewhere.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    monkeypatch.chdir(tmp_path / "path")
    write("ada.py", statement)
    with pytest.raises(ImportError, match="elsewhere"):
        space_of(directory).load("ada.py")


def test_file_that_came_after_the_snapshot_is_not_imported(directory: Path, write: Write) -> None:
    """What was not hashed is not executed: a helper written after the snapshot is missing (promise 10)."""
    write("ada.py", "from . import _late")
    space = space_of(directory)
    write("_late.py", "")
    with pytest.raises(ImportError, match="_late"):
        space.load("ada.py")


def test_package_imported_before_is_left_alone(directory: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """A process that has a package `characters` of its own keeps it, and builds work beside it."""
    own = ModuleType("characters")
    own.__path__ = []
    monkeypatch.setitem(sys.modules, "characters", own)
    write("ada.py", "import characters.bob\nVALUE = characters.bob.Y")
    write("bob.py", "Y = 1")
    space = space_of(directory)
    space.publish()
    assert space.load("ada.py").VALUE == 1
    assert sys.modules["characters"] is own
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("characters.bob")


# Computed names


@pytest.fixture
def imports_by_name(directory: Path, write: Write) -> Callable[[str], ModuleSpace]:
    """Makes and publishes a build whose ada.py imports a helper by a computed name, with that text as its Y."""

    def build(text: str) -> ModuleSpace:
        write("resources/x.py", f"Y = {text!r}")
        write(
            "ada.py", "import importlib\ndef value():\n    return importlib.import_module('characters.resources.x').Y"
        )
        space = space_of(directory)
        space.publish()
        return space

    return build


def test_computed_name_means_the_published_build(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """`importlib.import_module` resolves in the current set, and after the next swap in that one."""
    first = imports_by_name("old")
    module = first.load("ada.py")
    assert module.value() == "old"
    second = imports_by_name("new")
    assert (module.value(), second.load("ada.py").value()) == ("new", "new")


def test_computed_name_gives_the_module_itself(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """It is the module of the build, as it was, not a second one of that file."""
    space = imports_by_name("old")
    module = space.load("ada.py")
    spec = module.__spec__
    assert importlib.import_module("characters.ada") is module
    assert (module.__spec__, module.__name__) == (spec, spec.name if spec else "")


def test_computed_name_leaves_a_module_a_module(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """A plain module does not become a package by being imported under its public name."""
    space = imports_by_name("old")
    module = space.load("ada.py")
    importlib.import_module("characters.ada")
    assert not hasattr(module, "__path__")


def test_nothing_published_means_nothing_by_that_name(directory: Path) -> None:
    """A build that never served answers no computed name, and one that is gone does no more."""
    space = space_of(directory)
    space.load("ada.py")
    with pytest.raises(ModuleNotFoundError, match=r"characters\.ada"):
        importlib.import_module("characters.ada")
    space.publish()
    del space
    with pytest.raises(ModuleNotFoundError, match=r"characters\.ada"):
        importlib.import_module("characters.ada")


def test_missing_computed_name_is_missing(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """A computed name that no file has is missing under the name that was asked for."""
    space = imports_by_name("old")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'characters\.nobody'$"):
        importlib.import_module("characters.nobody")
    del space


# What character files do


def test_dataclass_with_deferred_annotations(directory: Path, write: Write) -> None:
    """A module is in `sys.modules` before it runs, where `dataclass` looks its annotations up."""
    lines = [
        "from __future__ import annotations",
        "from dataclasses import dataclass, fields",
        "from typing import ClassVar",
        "@dataclass",
        "class Score:",
        "    best: ClassVar[int] = 3",
        "    points: int = 0",
        "NAMES = [field.name for field in fields(Score)]",
    ]
    write("ada.py", "\n".join(lines))
    assert space_of(directory).load("ada.py").NAMES == ["points"]


def test_module_says_where_it_is(directory: Path, write: Write) -> None:
    """`__file__` is the real path, so that a character can find its data files."""
    write("resources/x.py", "from pathlib import Path\nTEXT = (Path(__file__).parent / 'facts.txt').read_text()")
    write("resources/facts.txt", "Fish swim.")
    write("ada.py", "from .resources.x import TEXT")
    module = space_of(directory).load("ada.py")
    assert (module.__file__, module.TEXT) == (str(directory / "ada.py"), "Fish swim.")


def test_package_data_can_be_found(directory: Path, write: Write) -> None:
    """`importlib.resources` finds data files beside the helpers of a package."""
    write("resources/facts.txt", "Fish swim.")
    write(
        "resources/__init__.py",
        "from importlib.resources import files\nTEXT = (files(__name__) / 'facts.txt').read_text()",
    )
    write("ada.py", "from .resources import TEXT")
    assert space_of(directory).load("ada.py").TEXT == "Fish swim."


def test_logger_of_a_character(directory: Path, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """`logging.getLogger(__name__)` works and is below the logger `characters`."""
    write("ada.py", "import logging\nlogging.getLogger(__name__).warning('hello')")
    space_of(directory).load("ada.py")
    (record,) = caplog.records
    assert (record.name.split(".")[0], record.name.split(".")[-1], record.message) == ("characters", "ada", "hello")


def test_getsource_shows_what_runs(directory: Path, write: Write) -> None:
    """`inspect.getsource` answers with the text of the build, also when the disk has another or none."""
    write("ada.py", "def f():\n    return 'old'\n")
    space = space_of(directory)
    function = space.load("ada.py").f
    write("ada.py", "\n\n\ndef f():\n    return 'new'\n")
    linecache.checkcache()
    assert inspect.getsource(function) == "def f():\n    return 'old'\n"
    shutil.rmtree(directory)
    linecache.checkcache()
    assert inspect.getsource(function) == "def f():\n    return 'old'\n"


def test_traceback_shows_what_runs(directory: Path, write: Write) -> None:
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
    "name", ["quiz-show.py", "my.char.py", "développeuse.py", "2nd.py", "class.py", "a b.py", "é\udce9.py"]
)
def test_any_file_name_can_be_loaded(directory: Path, write: Write, name: str) -> None:
    """A character file may be called what the disk allows; it imports helpers as any other does."""
    write("_shared.py", "Y = 1")
    write(name, "from ._shared import Y\nfrom characters._shared import Y as Z")
    module = space_of(directory).load(name)
    assert (module.Y, module.Z, module.__file__) == (1, 1, str(directory / name))


def test_module_beside_a_package_of_its_name(directory: Path, write: Write) -> None:
    """The characters x.py and the helpers of x/ can be loaded in one build."""
    write("x.py", "WHO = 'character'")
    write("x/__init__.py", "WHO = 'helper'")
    space = space_of(directory)
    assert [space.load(path).WHO for path in ("x.py", "x/__init__.py")] == ["character", "helper"]


@pytest.mark.parametrize(
    "source", [b"\xef\xbb\xbfX = '\xc3\xa9'", b"# coding: latin-1\nX = '\xe9'", b"X = '\xc3\xa9'\r\n"]
)
def test_encodings_are_python_s_own(directory: Path, source: bytes) -> None:
    """A byte order mark, a declared encoding and Windows line ends are read as Python reads them."""
    (directory / "ada.py").write_bytes(source)
    assert space_of(directory).load("ada.py").X == "é"


# Code is never stale


def test_no_bytecode_is_written(directory: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written into a character directory (promise 27)."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write("resources/x.py", "")
    write("ada.py", "from .resources import x")
    space_of(directory).load("ada.py")
    assert list(directory.rglob("*.pyc")) == list(directory.rglob("__pycache__")) == []


def naive_load(path: Path) -> ModuleType:
    """Import a file as most programs do."""
    spec = importlib.util.spec_from_file_location("naive", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def edits(path: Path) -> Iterator[int]:
    """Write a file twenty times within one second of its mtime, always of one size."""
    for number in range(10, 30):
        path.write_text(f"X = {number}")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        yield number


def test_naive_loader_runs_stale_code(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own loader, with bytecode on, runs old code after an edit within a second: the fault is real."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = directory / "ada.py"
    assert [naive_load(path).X for _ in edits(path)] == [10] * 20


def test_changed_code_is_the_code_that_runs(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty edits within one second, all of one size, run twenty times as edited (promise 26)."""
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


def test_module_is_executed_once_in_each_build(directory: Path, write: Write) -> None:
    """An unchanged file is executed afresh by the next build, from the same compiled code."""
    write("ada.py", "THING = object()")
    snapshot = take_snapshot(directory, Limits(files=100, bytes=1 << 20, file_bytes=1 << 20))
    first, second = ModuleSpace(snapshot), ModuleSpace(snapshot)
    assert first.load("ada.py") is first.load("ada.py")
    assert first.load("ada.py").THING is not second.load("ada.py").THING


# Retirement


def test_retired_build_leaves_nothing(directory: Path, write: Write) -> None:
    """When a space is dropped its modules are out of `sys.modules` and collected (promise 25)."""
    write("resources/x.py", "class Y: pass")
    write("ada.py", "from .resources.x import Y\nimport characters.resources.x as z\ndef f(): return Y")
    space = space_of(directory)
    build, module = space.build, weakref.ref(space.load("ada.py"))
    assert left_of(build)
    del space
    gc.collect()
    assert (left_of(build), module()) == ([], None)


def test_retired_build_takes_its_loggers_along(directory: Path, write: Write) -> None:
    """Loggers below `characters` go with the build that made them (promise 25)."""
    write("resources/x.py", "import logging\nlogging.getLogger(__name__ + '.deep')")
    write("ada.py", "import logging\nLOG = logging.getLogger(__name__)\nfrom .resources import x")
    space = space_of(directory)
    build, logger = space.build, weakref.ref(space.load("ada.py").LOG)
    del space
    gc.collect()
    assert (left_of(build), logger()) == ([], None)


def test_failed_build_leaves_nothing(directory: Path, write: Write) -> None:
    """A build of which nothing loaded is as gone as any other."""
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
    """Also under its public names a build is gone when nothing holds it."""
    before = set(sys.modules)
    space = imports_by_name("old")
    module = weakref.ref(space.load("ada.py"))
    importlib.import_module("characters.ada").value()
    del space
    gc.collect()
    assert [name for name in set(sys.modules) - before if name.startswith("characters.")] == []
    assert module() is None


def test_replaced_build_leaves_nothing_under_its_public_names(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """What a computed import of the build before has left is gone when the next one is published."""
    first = imports_by_name("old")
    module = weakref.ref(first.load("ada.py"))
    importlib.import_module("characters.ada").value()
    second = imports_by_name("new")
    del first
    gc.collect()
    assert module() is None
    del second


def test_build_lives_as_long_as_its_space(directory: Path, write: Write) -> None:
    """A build that is held is left alone by the end of others."""
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


def test_shown_source_goes_with_the_build(directory: Path) -> None:
    """The text that tracebacks show is forgotten with the snapshot it belongs to (promise 25)."""
    space = space_of(directory)
    space.load("ada.py")
    assert str(directory / "ada.py") in linecache.cache
    del space
    gc.collect()
    assert str(directory / "ada.py") not in linecache.cache


def test_newer_source_stays_when_the_older_build_goes(directory: Path, write: Write) -> None:
    """The end of an older build does not take the newer one's text away."""
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


# Helpers that fail


def why(space: ModuleSpace, path: str, directory: Path) -> FileError:
    """What is said about a file that does not load."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        space.load(path)
    return explain(caught.value, path, str(directory / path))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that files can add to, as `sys.runs`."""
    runs: list[str] = []
    monkeypatch.setattr(sys, "runs", runs, raising=False)
    return runs


def test_failed_helper_runs_once_in_a_build(directory: Path, write: Write, runs: list[str]) -> None:
    """The second file that imports a broken helper fails at once: a helper that hangs costs one deadline."""
    write("_bad.py", "import sys\nsys.runs.append('bad')\n1 / 0")
    for name in ("ada.py", "bob.py", "eve.py"):
        write(name, "from . import _bad")
    space = space_of(directory)
    for name in ("ada.py", "bob.py", "eve.py"):
        why(space, name, directory)
    assert runs == ["bad"]


@pytest.mark.parametrize("helper", ["1 / 0", "x = (", "from . import _deeper", "raise SystemExit(3)"])
def test_failed_helper_is_explained_alike_to_each_importer(directory: Path, write: Write, helper: str) -> None:
    """Whoever imports a broken helper is told the same: what failed, and in which line of which helper."""
    write("_deeper.py", "\n1 / 0")
    write("_bad.py", helper)
    write("ada.py", "from . import _bad")
    write("bob.py", "\n\nfrom ._bad import Y")
    space = space_of(directory)
    first, second = why(space, "ada.py", directory), why(space, "bob.py", directory)
    assert (first.file, first.line, second.file, second.line) == ("ada.py", 1, "bob.py", 3)
    assert (first.error_type, first.exception, first.message) == (second.error_type, second.exception, second.message)
    assert ".py, line " in second.message


def test_failed_helper_can_be_caught(directory: Path, write: Write) -> None:
    """`try: import …, except ImportError` works for every importer of a helper that cannot be imported."""
    write("_bad.py", "import no_such_package_anywhere")
    source = "try:\n    from . import _bad\nexcept ImportError as e:\n    _bad = None"
    write("ada.py", source)
    write("bob.py", source)
    space = space_of(directory)
    assert [space.load(path)._bad for path in ("ada.py", "bob.py")] == [None, None]


def test_failed_import_is_tried_again_after_the_build(directory: Path, write: Write, runs: list[str]) -> None:
    """Once the build is sealed, a late import that failed is executed again, as Python does."""
    write("_bad.py", "import sys\nsys.runs.append('bad')\nif len(sys.runs) < 3: 1 / 0\nY = 1")
    write("ada.py", "def f():\n    from ._bad import Y\n    return Y")
    space = space_of(directory)
    function = space.load("ada.py").f
    with pytest.raises(ZeroDivisionError):
        function()
    with pytest.raises(HelperFailed, match=r"characters\._bad failed to load"):
        function()
    space.seal()
    with pytest.raises(ZeroDivisionError):
        function()
    assert function() == 1


def test_failures_of_one_build_are_none_of_the_next(directory: Path, write: Write) -> None:
    """A mended helper is imported by the next build."""
    write("_bad.py", "1 / 0")
    write("ada.py", "from . import _bad")
    why(space_of(directory), "ada.py", directory)
    write("_bad.py", "")
    assert space_of(directory).load("ada.py")
