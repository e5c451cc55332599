"""The files that a character's fingerprint covers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.loading.fingerprint import are_quick, fingerprints
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot
from tests.reload.helpers import Write

Touched = Callable[[Callable[[], object]], list[str]]


def snapshot_of(directory: Path) -> Snapshot:
    return take_snapshot(directory, Limits(files=100, bytes=1 << 20, file_bytes=1 << 20))


def prints(directory: Path) -> dict[str, str]:
    return fingerprints(snapshot_of(directory))


@pytest.fixture
def touched(directory: Path) -> Touched:
    """Return the characters whose fingerprints differ after a change of the directory."""

    def touched(change: Callable[[], object]) -> list[str]:
        before = prints(directory)
        change()
        return [path for path, fingerprint in prints(directory).items() if fingerprint != before.get(path)]

    return touched


def test_each_character_file_has_one(directory: Path, write: Write) -> None:
    """Characters have fingerprints; helpers and unreadable files have none."""
    write("_helper.py", "")
    write("bob.py", "")
    os.mkfifo(directory / "eve.py")
    found = prints(directory)
    assert list(found) == ["ada.py", "bob.py"]
    assert all(fingerprint.startswith("sha256:") for fingerprint in found.values())


def test_those_of_few_files_are_quick_once_they_are_compiled(directory: Path, write: Write) -> None:
    """A file that is to be compiled takes longer, and so do many."""
    few = snapshot_of(directory)
    assert not are_quick(few)
    fingerprints(few)
    assert are_quick(few)
    for number in range(60):
        write(f"c{number}.py", "")
    many = snapshot_of(directory)
    fingerprints(many)
    assert not are_quick(many)


def test_equal_directories_have_equal_fingerprints(directory: Path, tmp_path: Path) -> None:
    """A fingerprint depends on relative paths and bytes only."""
    shutil.copytree(directory, tmp_path / "copy")
    assert prints(directory) == prints(tmp_path / "copy")


def test_path_is_part_of_it(directory: Path, write: Write) -> None:
    """Two files of the same bytes have different fingerprints."""
    write("bob.py", (directory / "ada.py").read_text())
    found = prints(directory)
    assert found["ada.py"] != found["bob.py"]


WRITES: dict[str, tuple[dict[str, str], tuple[str, str], list[str]]] = {
    "the character itself": ({"bob.py": "X = 1"}, ("bob.py", "X = 2"), ["bob.py"]),
    "a helper of helpers": (
        {
            "bob.py": "from ._a import Y",
            "_a.py": "def f():\n    import characters.deep.b",
            "deep/b.py": "from .. import _c",
            "_c.py": "Y = 1",
        },
        ("_c.py", "Y = 2"),
        ["bob.py"],
    ),
    "a helper of helpers that import each other": (
        {"bob.py": "from . import _a", "_a.py": "from . import _b", "_b.py": "from . import _a, _c", "_c.py": ""},
        ("_c.py", "Y = 2"),
        ["bob.py"],
    ),
    "a new folder with the name of an absent module": (
        {"bob.py": "try:\n    import characters.extra\nexcept ImportError:\n    pass\n"},
        ("extra/x.py", ""),
        ["bob.py"],
    ),
    "the init of a package above a helper": (
        {"a/__init__.py": "", "a/b/c.py": "Y = 1", "bob.py": "from .a.b.c import Y"},
        ("a/__init__.py", "X = 1"),
        ["bob.py"],
    ),
    "the init of the directory": (
        {"__init__.py": "", "_helper.py": "", "bob.py": "from ._helper import __name__"},
        ("__init__.py", "X = 1"),
        ["ada.py", "bob.py"],
    ),
    "a helper of the init of the directory": (
        {"__init__.py": "from . import _shared", "_shared.py": "X = 1"},
        ("_shared.py", "X = 2"),
        ["ada.py"],
    ),
    "a new init of the directory": ({}, ("__init__.py", ""), ["ada.py"]),
    "a helper without importers": ({}, ("resources/unused.py", "Y = 1"), []),
    "a file with the name of an attribute": (
        {"_helper.py": "Y = 1", "bob.py": "from ._helper import Y"},
        ("Y.py", ""),
        ["Y.py"],
    ),
    "an import beyond the directory": ({"bob.py": "def f():\n    from .. import _helper"}, ("_helper.py", ""), []),
    "a helper that did not compile": (
        {"bob.py": "from . import _helper", "_helper.py": "x = ("},
        ("_helper.py", "x = ()"),
        ["bob.py"],
    ),
    "a helper with a decomposed name": (  # Python composes the names in import statements
        {"_re\u0301sume\u0301.py": "Y = 1", "bob.py": "from ._r\u00e9sum\u00e9 import Y"},
        ("_re\u0301sume\u0301.py", "Y = 2"),
        ["bob.py"],
    ),
}


@pytest.mark.parametrize(("files", "edit", "expected"), WRITES.values(), ids=WRITES)
def test_a_write_changes_the_characters_that_cover_the_file(
    write: Write, touched: Touched, files: dict[str, str], edit: tuple[str, str], expected: list[str]
) -> None:
    """Writing one file changes the fingerprints of exactly the characters that cover it."""
    for path, source in files.items():
        write(path, source)
    assert touched(lambda: write(*edit)) == expected


FORMS = [
    "import characters.resources.x",
    "import characters.resources.x as z",
    "from characters.resources import x",
    "from characters.resources.x import Y",
    "from characters.resources import *",
    "from .resources import x",
    "from .resources.x import Y",
    "from .resources.x import *",
    "from .resources import *",
]


@pytest.mark.parametrize("statement", FORMS)
def test_helper_changes_exactly_its_importers(write: Write, touched: Touched, statement: str) -> None:
    """An edit of a helper changes exactly the character that imports it, for each form of import."""
    write("resources/x.py", "Y = 1")
    write("bob.py", statement)
    assert touched(lambda: write("resources/x.py", "Y = 2")) == ["bob.py"]


@pytest.mark.parametrize("statement", [form for form in FORMS if "*" not in form])
def test_import_inside_a_method_counts(write: Write, touched: Touched, statement: str) -> None:
    """A helper imported inside a method is part of the character."""
    write("resources/x.py", "Y = 1")
    write("bob.py", f"class PromptGenerator:\n    def make_system_prompt(self):\n        {statement}\n")
    assert touched(lambda: write("resources/x.py", "Y = 2")) == ["bob.py"]


@pytest.mark.parametrize("statement", ["from . import sibling", "from characters import sibling", "from . import *"])
def test_sibling_counts(write: Write, touched: Touched, statement: str) -> None:
    """A character file that another one imports is part of that one, and still a character itself."""
    write("sibling.py", "Y = 1")
    write("bob.py", statement)
    assert touched(lambda: write("sibling.py", "Y = 2")) == ["bob.py", "sibling.py"]


@pytest.mark.parametrize("statement", ["from . import y", "from .y import Y", "from ..resources.y import Y"])
def test_what_the_init_of_a_package_imports_counts(write: Write, touched: Touched, statement: str) -> None:
    """The relative imports of an `__init__.py` start at its own package."""
    write("resources/__init__.py", statement)
    write("resources/y.py", "Y = 1")
    write("bob.py", "import characters.resources")
    assert touched(lambda: write("resources/y.py", "Y = 2")) == ["bob.py"]


@pytest.mark.parametrize("statement", ["import characters._local", "from . import _local", "from ._local import Y"])
def test_absent_helper_counts_as_absent(write: Write, touched: Touched, statement: str) -> None:
    """A new helper changes the characters that tried to import it."""
    write("bob.py", f"try:\n    {statement}\nexcept ImportError:\n    pass\n")
    assert touched(lambda: write("_local.py", "Y = 1")) == ["bob.py"]


def test_deleted_helper_changes_its_importer(directory: Path, write: Write, touched: Touched) -> None:
    """A deleted helper changes the characters that import it."""
    helper = write("_helper.py", "Y = 1")
    write("bob.py", "from ._helper import Y")
    assert touched(helper.unlink) == ["bob.py"]


def test_module_that_becomes_a_package_counts(directory: Path, write: Write, touched: Touched) -> None:
    """The same bytes at another path are another helper."""
    helper = write("_helper.py", "Y = 1")
    write("bob.py", "from ._helper import Y")

    def become_a_package() -> None:
        helper.unlink()
        write("_helper/__init__.py", "Y = 1")

    assert touched(become_a_package) == ["bob.py"]


def test_star_covers_every_module_of_the_package(write: Write, touched: Touched) -> None:
    """`from .x import *` covers all modules of the package."""
    write("resources/__init__.py", "__all__ = ['b']")
    write("resources/b.py", "Y = 1")
    write("bob.py", "from .resources import *")
    assert touched(lambda: write("resources/b.py", "Y = 2")) == ["bob.py"]
    assert touched(lambda: write("resources/c.py", "")) == ["bob.py"]


def test_file_that_does_not_compile_is_its_bytes(write: Write, touched: Touched) -> None:
    """A broken file has a fingerprint of its own bytes only."""
    write("_helper.py", "")
    write("bob.py", "from . import _helper\nx = (")
    assert touched(lambda: write("_helper.py", "Y = 1")) == []
    assert touched(lambda: write("bob.py", "from . import _helper\nx = [")) == ["bob.py"]
