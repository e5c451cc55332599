"""Which files a character's fingerprint covers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.loading.fingerprint import fingerprints
from charhost.loading.snapshot import Limits, take_snapshot

Write = Callable[[str, str], Path]
Touched = Callable[[Callable[[], object]], list[str]]


def prints(directory: Path) -> dict[str, str]:
    return fingerprints(take_snapshot(directory, Limits(files=100, bytes=1 << 20, file_bytes=1 << 20)))


@pytest.fixture
def touched(directory: Path) -> Touched:
    """Says which characters' fingerprints differ after a change of the directory."""

    def touched(change: Callable[[], object]) -> list[str]:
        before = prints(directory)
        change()
        return [path for path, fingerprint in prints(directory).items() if fingerprint != before.get(path)]

    return touched


def test_each_character_file_has_one(directory: Path, write: Write) -> None:
    """Characters have fingerprints, helpers and unreadable files have none."""
    write("_helper.py", "")
    write("bob.py", "")
    os.mkfifo(directory / "eve.py")
    found = prints(directory)
    assert list(found) == ["ada.py", "bob.py"]
    assert all(fingerprint.startswith("sha256:") for fingerprint in found.values())


def test_equal_directories_have_equal_fingerprints(directory: Path, tmp_path: Path) -> None:
    """A fingerprint depends on relative paths and bytes only."""
    shutil.copytree(directory, tmp_path / "copy")
    assert prints(directory) == prints(tmp_path / "copy")


def test_edit_touches_that_character(write: Write, touched: Touched) -> None:
    """Editing one character file changes one fingerprint."""
    write("bob.py", "X = 1")
    assert touched(lambda: write("bob.py", "X = 2")) == ["bob.py"]


def test_path_is_part_of_it(directory: Path, write: Write) -> None:
    """Two files of the same bytes have different fingerprints."""
    write("bob.py", (directory / "ada.py").read_text())
    found = prints(directory)
    assert found["ada.py"] != found["bob.py"]


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
def test_editing_a_helper_touches_exactly_who_imports_it(write: Write, touched: Touched, statement: str) -> None:
    """Each form of import makes a helper part of the importer, and of nobody else."""
    write("resources/x.py", "Y = 1")
    write("bob.py", statement)
    assert touched(lambda: write("resources/x.py", "Y = 2")) == ["bob.py"]


@pytest.mark.parametrize("statement", [form for form in FORMS if "*" not in form])
def test_import_inside_a_method_counts(write: Write, touched: Touched, statement: str) -> None:
    """A helper that is imported when the prompt is made is part of the character as well."""
    write("resources/x.py", "Y = 1")
    write("bob.py", f"class PromptGenerator:\n    def make_system_prompt(self):\n        {statement}\n")
    assert touched(lambda: write("resources/x.py", "Y = 2")) == ["bob.py"]


@pytest.mark.parametrize("statement", ["from . import sibling", "from characters import sibling", "from . import *"])
def test_sibling_counts(write: Write, touched: Touched, statement: str) -> None:
    """A character file that is imported by another one is part of that one, and still a character itself."""
    write("sibling.py", "Y = 1")
    write("bob.py", statement)
    assert touched(lambda: write("sibling.py", "Y = 2")) == ["bob.py", "sibling.py"]


def test_helper_of_a_helper_counts(write: Write, touched: Touched) -> None:
    """Imports are followed through any number of helpers, upwards and downwards."""
    write("bob.py", "from ._a import Y")
    write("_a.py", "def f():\n    import characters.deep.b")
    write("deep/b.py", "from .. import _c")
    write("_c.py", "Y = 1")
    assert touched(lambda: write("_c.py", "Y = 2")) == ["bob.py"]


@pytest.mark.parametrize("statement", ["from . import y", "from .y import Y", "from ..resources.y import Y"])
def test_what_the_init_of_a_package_imports_counts(write: Write, touched: Touched, statement: str) -> None:
    """The relative imports of an `__init__.py` start at its own package."""
    write("resources/__init__.py", statement)
    write("resources/y.py", "Y = 1")
    write("bob.py", "import characters.resources")
    assert touched(lambda: write("resources/y.py", "Y = 2")) == ["bob.py"]


def test_circular_imports_end(write: Write, touched: Touched) -> None:
    """Helpers that import each other are all part of who imports one of them."""
    write("bob.py", "from . import _a")
    write("_a.py", "from . import _b")
    write("_b.py", "from . import _a, _c")
    write("_c.py", "")
    assert touched(lambda: write("_c.py", "Y = 2")) == ["bob.py"]


@pytest.mark.parametrize("statement", ["import characters._local", "from . import _local", "from ._local import Y"])
def test_absent_helper_counts_as_absent(write: Write, touched: Touched, statement: str) -> None:
    """A helper that appears changes who tried to import it."""
    write("bob.py", f"try:\n    {statement}\nexcept ImportError:\n    pass\n")
    assert touched(lambda: write("_local.py", "Y = 1")) == ["bob.py"]


def test_helper_that_vanishes_touches_its_importer(directory: Path, write: Write, touched: Touched) -> None:
    """A helper that was deleted changes who imports it."""
    helper = write("_helper.py", "Y = 1")
    write("bob.py", "from ._helper import Y")
    assert touched(helper.unlink) == ["bob.py"]


def test_folder_in_place_of_an_absent_module_counts(write: Write, touched: Touched) -> None:
    """A folder is something else than nothing."""
    write("bob.py", "try:\n    import characters.extra\nexcept ImportError:\n    pass\n")
    assert touched(lambda: write("extra/x.py", "")) == ["bob.py"]


def test_module_that_becomes_a_package_counts(directory: Path, write: Write, touched: Touched) -> None:
    """The same bytes at another path are another helper."""
    helper = write("_helper.py", "Y = 1")
    write("bob.py", "from ._helper import Y")

    def become_a_package() -> None:
        helper.unlink()
        write("_helper/__init__.py", "Y = 1")

    assert touched(become_a_package) == ["bob.py"]


def test_star_covers_every_module_of_the_package(write: Write, touched: Touched) -> None:
    """What `from .x import *` binds is up to the package, so all its modules count."""
    write("resources/__init__.py", "__all__ = ['b']")
    write("resources/b.py", "Y = 1")
    write("bob.py", "from .resources import *")
    assert touched(lambda: write("resources/b.py", "Y = 2")) == ["bob.py"]
    assert touched(lambda: write("resources/c.py", "")) == ["bob.py"]


def test_packages_above_count(write: Write, touched: Touched) -> None:
    """The `__init__.py` of every package above a helper runs, so it counts."""
    write("a/__init__.py", "")
    write("a/b/c.py", "Y = 1")
    write("bob.py", "from .a.b.c import Y")
    assert touched(lambda: write("a/__init__.py", "X = 1")) == ["bob.py"]


def test_init_of_the_directory_counts_for_all(write: Write, touched: Touched) -> None:
    """The directory's own `__init__.py` runs before any character, so it is part of each."""
    write("__init__.py", "")
    write("_helper.py", "")
    write("bob.py", "from ._helper import __name__")
    assert touched(lambda: write("__init__.py", "X = 1")) == ["ada.py", "bob.py"]


def test_what_the_init_of_the_directory_imports_counts_for_all(write: Write, touched: Touched) -> None:
    """A helper that the directory's `__init__.py` imports is part of every character."""
    write("__init__.py", "from . import _shared")
    write("_shared.py", "X = 1")
    assert touched(lambda: write("_shared.py", "X = 2")) == ["ada.py"]


def test_new_init_of_the_directory_counts_for_all(write: Write, touched: Touched) -> None:
    """A directory that gets an `__init__.py` changes every character."""
    assert touched(lambda: write("__init__.py", "")) == ["ada.py"]


def test_helper_nobody_imports_touches_nobody(write: Write, touched: Touched) -> None:
    """A helper without importers is part of no character."""
    assert touched(lambda: write("resources/unused.py", "Y = 1")) == []


def test_name_that_is_no_submodule_is_not_taken_for_one(write: Write, touched: Touched) -> None:
    """`from .x import Y` of a plain module does not mean a file x/Y.py or Y.py."""
    write("_helper.py", "Y = 1")
    write("bob.py", "from ._helper import Y")
    assert touched(lambda: write("Y.py", "")) == ["Y.py"]


def test_import_beyond_the_top_is_ignored(write: Write, touched: Touched) -> None:
    """An import that leaves the directory covers nothing in it."""
    write("bob.py", "def f():\n    from .. import _helper")
    assert touched(lambda: write("_helper.py", "")) == []


def test_file_that_does_not_compile_is_its_bytes(write: Write, touched: Touched) -> None:
    """A broken file has a fingerprint that changes with its text, and with nothing it seems to import."""
    write("_helper.py", "")
    write("bob.py", "from . import _helper\nx = (")
    assert touched(lambda: write("_helper.py", "Y = 1")) == []
    assert touched(lambda: write("bob.py", "from . import _helper\nx = [")) == ["bob.py"]


def test_helper_that_does_not_compile_counts(write: Write, touched: Touched) -> None:
    """A helper that is broken, and then mended, changes its importer."""
    write("bob.py", "from . import _helper")
    write("_helper.py", "x = (")
    assert touched(lambda: write("_helper.py", "x = ()")) == ["bob.py"]


def test_decomposed_spelling_means_the_composed_file(write: Write, touched: Touched) -> None:
    """Python composes the names in import statements, so both spellings mean the one helper."""
    write("_re\u0301sume\u0301.py", "Y = 1")
    write("bob.py", "from ._r\u00e9sum\u00e9 import Y")
    assert touched(lambda: write("_re\u0301sume\u0301.py", "Y = 2")) == ["bob.py"]
