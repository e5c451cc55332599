"""The imports in compiled code."""

from __future__ import annotations

import ast
import asyncio
import email
import json
from pathlib import Path
from textwrap import indent
from types import ModuleType

import pytest

from charhost.loading.imports import Import, imports_of


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
def test_real_packages_are_read_as_their_syntax_tree_says(package: ModuleType) -> None:
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
