"""The module name of each file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loading.helpers import snap
from tests.reload.helpers import Write


def names(directory: Path) -> dict[str, str]:
    """Return the module name of each file except ada.py."""
    return {path: name for path, name in snap(directory).module_names.items() if path != "ada.py"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("bob.py", "bob"),
        ("_shared.py", "_shared"),
        ("resources/x.py", "resources.x"),
        ("resources/__init__.py", "resources"),
        ("__init__.py", ""),
        ("développeuse.py", "développeuse"),
        ("quiz-show.py", "_quiz_x2d_show"),
        ("my.char.py", "_my_x2e_char"),
        ("2nd.py", "_2nd"),
        ("my files/x.py", "_my_x20_files.x"),
        ("ﬁdo.py", "fido"),
    ],
)
def test_module_name(directory: Path, write: Write, path: str, name: str) -> None:
    """A module has the name that an import statement has; a name that none can have is mangled."""
    write(path, "")
    assert names(directory) == {path: name}


def test_keyword_is_a_module_name(directory: Path, write: Write) -> None:
    """A file named class.py keeps its name, which only `importlib` can import."""
    write("class.py", "")
    assert names(directory) == {"class.py": "class"}


def test_composed_and_decomposed_names_are_two_modules(directory: Path, write: Write) -> None:
    """Of two files whose names are one name for Python, the composed one has that module name."""
    write("zoe\u0301.py", "")
    write("zo\u00e9.py", "")
    found = names(directory)
    assert found["zo\u00e9.py"] == "zo\u00e9"
    assert len(set(found.values())) == 2


def test_mangled_name_never_takes_a_real_one(directory: Path, write: Write) -> None:
    """A helper whose name equals another file's mangled name keeps its name."""
    write("quiz-show.py", "")
    write("_quiz_x2d_show.py", "")
    found = names(directory)
    assert found["_quiz_x2d_show.py"] == "_quiz_x2d_show"
    assert len(set(found.values())) == 2


def test_package_wins_over_module_of_its_name(directory: Path, write: Write) -> None:
    """Beside x/__init__.py the file x.py has another module name, as Python prefers the package."""
    write("x.py", "")
    write("x/__init__.py", "")
    found = names(directory)
    assert found["x/__init__.py"] == "x"
    assert found["x.py"] != "x"


@pytest.mark.parametrize("inner", ["x/y.py", "x/y/__init__.py"])
def test_module_wins_over_folder_without_init(directory: Path, write: Write, inner: str) -> None:
    """Beside a folder x without `__init__.py` the file x.py is the module, as for Python."""
    write("x.py", "")
    write(inner, "")
    assert names(directory)["x.py"] == "x"
    assert not snap(directory).modules["x"].is_package


def test_folder_without_init_is_a_package_without_file(directory: Path, write: Write) -> None:
    """A folder without `__init__.py` is a package without a file."""
    write("a/b/c.py", "")
    modules = snap(directory).modules
    assert [(modules[name].is_package, modules[name].file) for name in ("a", "a.b")] == [(True, None)] * 2


def test_every_file_has_a_module_name_of_its_own(directory: Path, write: Write) -> None:
    """Files with similar names have different module names."""
    for path in ("a-b.py", "a b.py", "a.b.py", "a/b.py", "a_b.py", "_a_b.py", "a-b/__init__.py", "a-b/b.py", "a.py"):
        write(path, "")
    found = names(directory)
    assert len(found) == 9
    assert len(set(found.values())) == 9
