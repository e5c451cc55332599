"""A helper that fails, fails once in a build, and alike for each importer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from charhost.character.diagnostics import HelperFailed, explain
from charhost.loading.module_space import ModuleSpace
from charhost.report import FileError
from tests.loading.helpers import space_of
from tests.reload.helpers import Write


def why(space: ModuleSpace, path: str, directory: Path) -> FileError:
    """Return the error of a file that does not load."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        space.load(path)
    return explain(caught.value, path, str(directory / path))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that files can append to, as `sys.runs`."""
    runs: list[str] = []
    monkeypatch.setattr(sys, "runs", runs, raising=False)
    return runs


def test_failed_helper_runs_once_in_a_build(directory: Path, write: Write, runs: list[str]) -> None:
    """A broken helper is executed once in a build: if it hangs it costs one deadline."""
    write("_bad.py", "import sys\nsys.runs.append('bad')\n1 / 0")
    for name in ("ada.py", "bob.py", "eve.py"):
        write(name, "from . import _bad")
    space = space_of(directory)
    for name in ("ada.py", "bob.py", "eve.py"):
        why(space, name, directory)
    assert runs == ["bad"]


@pytest.mark.parametrize("helper", ["1 / 0", "x = (", "from . import _deeper", "raise SystemExit(3)"])
def test_failed_helper_has_one_error_for_each_importer(directory: Path, write: Write, helper: str) -> None:
    """Each importer of a broken helper has the same error, with the helper and its line."""
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
    """Each importer can catch the ImportError of a broken helper."""
    write("_bad.py", "import no_such_package_anywhere")
    source = "try:\n    from . import _bad\nexcept ImportError as e:\n    _bad = None"
    write("ada.py", source)
    write("bob.py", source)
    space = space_of(directory)
    assert [space.load(path)._bad for path in ("ada.py", "bob.py")] == [None, None]


def test_failed_import_is_tried_again_after_the_build(directory: Path, write: Write, runs: list[str]) -> None:
    """After the build is sealed, an import that failed is executed again, as in Python."""
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
    """A repaired helper is imported by the next build."""
    write("_bad.py", "1 / 0")
    write("ada.py", "from . import _bad")
    why(space_of(directory), "ada.py", directory)
    write("_bad.py", "")
    assert space_of(directory).load("ada.py")
