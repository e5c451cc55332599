"""Each form of import in a character file finds the modules of its own build."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.loading.module_space import ModuleSpace
from tests.loading.helpers import space_of
from tests.reload.helpers import Write

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
    """Write the two helpers that the forms import, each with that text as its Y."""

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
def test_late_import_finds_the_hashed_bytes(
    directory: Path, write: Write, helpers: Callable[[str], None], statement: str, value: str
) -> None:
    """An import in a function finds the bytes of its build, although the disk has changed or is gone (promise 10)."""
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
    """`from .x import *` binds the names in `__all__`, also submodules."""
    write("resources/__init__.py", "__all__ = ['x']")
    write("resources/x.py", "Y = 1")
    write("ada.py", "from .resources import *")
    assert space_of(directory).load("ada.py").x.Y == 1


def test_imports_upwards(directory: Path, write: Write) -> None:
    """A helper in a folder can import those above it."""
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
    """Helpers may import each other, as elsewhere in Python."""
    write("_a.py", "from . import _b\nA = 1")
    write("_b.py", "import characters._a as a\nfrom characters import _a\ndef total():\n    return a.A + _a.A")
    write("ada.py", "from ._b import total")
    assert space_of(directory).load("ada.py").total() == 2


def test_helper_runs_once_in_a_build(directory: Path, write: Write) -> None:
    """Two files of one build share a helper, however they import it."""
    write("_state.py", "SEEN = []")
    write("ada.py", "from characters import _state")
    write("bob.py", "from . import _state")
    space = space_of(directory)
    assert space.load("ada.py")._state is space.load("bob.py")._state


def test_other_imports_are_python_s_own(directory: Path, write: Write) -> None:
    """Modules of the standard library are the process's own."""
    write("ada.py", "import json\nfrom os import path\nimport importlib.util as u\n__import__('email.message')")
    module = space_of(directory).load("ada.py")
    assert (module.json, module.path, module.u) == (sys.modules["json"], os.path, importlib.util)


def test_missing_helper_is_missing(directory: Path, write: Write) -> None:
    """A missing helper is a ModuleNotFoundError with its name as in the import."""
    write("ada.py", "from characters.resources import nothing")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'characters\.resources'$"):
        space_of(directory).load("ada.py")


def test_init_of_the_directory_runs_first(directory: Path, write: Write) -> None:
    """The directory's `__init__.py` is the package `characters` of the build."""
    write("__init__.py", "import sys\nHOUSE = 'ours'")
    write("ada.py", "import characters\nfrom characters import HOUSE\nVALUE = characters.HOUSE, HOUSE")
    assert space_of(directory).load("ada.py").VALUE == ("ours", "ours")


def test_computed_name_means_the_build_that_asks(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """`importlib.import_module` in a file finds the file's own build, also after the next publication."""
    first = imports_by_name("old")
    module = first.load("ada.py")
    assert module.value() == "old"
    second = imports_by_name("new")
    assert (module.value(), second.load("ada.py").value()) == ("old", "new")


def test_computed_name_means_the_published_build_elsewhere(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """Outside of all builds it finds the published build, and after the next publication that one."""
    first = imports_by_name("old")
    old = importlib.import_module("characters.resources.x").Y
    second = imports_by_name("new")
    assert (old, importlib.import_module("characters.resources.x").Y) == ("old", "new")
    del first, second


def test_computed_name_finds_the_same_module(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """A computed name stands for the module of the build, unchanged, not for a second one of that file."""
    space = imports_by_name("old")
    module = space.load("ada.py")
    spec = module.__spec__
    stand_in = importlib.import_module("characters.ada")
    stand_in.EXTRA = 1  # type: ignore[attr-defined]
    assert vars(stand_in) is vars(module)
    assert (module.EXTRA, module.__spec__, module.__name__) == (1, spec, spec.name if spec else "")


def test_computed_name_leaves_a_module_a_module(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """A plain module does not become a package when it is imported by its public name."""
    space = imports_by_name("old")
    module = space.load("ada.py")
    importlib.import_module("characters.ada")
    assert not hasattr(module, "__path__")


def test_unpublished_build_has_no_computed_name(directory: Path) -> None:
    """A build that was never published, or is gone, is not found by a computed name."""
    space = space_of(directory)
    space.load("ada.py")
    with pytest.raises(ModuleNotFoundError, match=r"characters\.ada"):
        importlib.import_module("characters.ada")
    space.publish()
    del space
    with pytest.raises(ModuleNotFoundError, match=r"characters\.ada"):
        importlib.import_module("characters.ada")


def test_missing_computed_name_is_missing(imports_by_name: Callable[[str], ModuleSpace]) -> None:
    """A computed name without a file is missing under the requested name."""
    space = imports_by_name("old")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'characters\.nobody'$"):
        importlib.import_module("characters.nobody")
    del space
