"""The rules of the architecture: the order of packages, and the things with one owner."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from charhost.settings import Settings
from charhost.web.app import create_app

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "charhost"
TEST_FILES = sorted((ROOT / "tests").rglob("test_*.py"))
MODULES = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path for path in PACKAGE.rglob("*.py")}

# From the top down. A module may import from its own package and from those below; the files at the root lie below all.
ORDER = (
    "cli",
    "web",
    "sets",
    "watch",
    "fleet",
    "storage",
    "resume",
    "reload",
    "conversation",
    "sandbox",
    "llm",
    "speech",
    "loading",
    "character",
    "threads",
    "memory",
    "logs",
)
GROUND = {
    "errors",
    "report",
    "settings",
    "metrics",
    "text",
    "jsontext",
    "ids",
    "__init__",
    "__main__",
}
READERS = {"charhost.settings.settings", "charhost.settings.environment"}


def layer(module: str) -> int:
    """Return the number of the package of a module of charhost, 0 at the top."""
    part = module.split(".")[1]
    if part == "__main__":
        return 0
    return ORDER.index(part) if part in ORDER else len(ORDER)


@cache
def imports(tree: ast.AST) -> tuple[str, ...]:
    """Return the imports of a module as `a.b`, also those for type checkers."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def own(name: str) -> str | None:
    """Return the module of charhost that an import names, if it is one."""
    while name not in MODULES and f"{name}.__init__" not in MODULES and "." in name:
        name = name.rpartition(".")[0]
    return name if name in MODULES else f"{name}.__init__" if f"{name}.__init__" in MODULES else None


@cache
def parsed(path: Path) -> ast.Module:
    """Return the parsed source of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def tree(module: str) -> ast.Module:
    """Return the parsed source of a module."""
    return parsed(MODULES[module])


@cache
def source(module: str) -> str:
    """Return the source of a module without its comments."""
    return ast.unparse(tree(module))


def calls(module: str) -> Iterator[tuple[str, list[str | None]]]:
    """Yield the calls in a module: the function, and the names of the keywords."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), [keyword.arg for keyword in node.keywords]


def test_imports_point_down() -> None:
    """No module imports from a layer above its own."""
    used = [(module, found) for module in MODULES for name in imports(tree(module)) if (found := own(name))]
    assert [(module, name) for module, name in used if name != module and layer(name) < layer(module)] == []


def test_every_package_has_its_place() -> None:
    """`charhost/` has only the listed packages, and the listed files beside them."""
    assert {name.split(".")[1] for name in MODULES} == {*ORDER, *GROUND}


def test_every_package_is_installed() -> None:
    """The packages of setup.cfg are the folders with an `__init__.py`, beside those copied from elsewhere."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    copied = tuple(re.findall(r"^(\S+) =", setup["options"]["package_dir"], re.MULTILINE))
    listed = [name for name in setup["options"]["packages"].split() if not name.startswith(copied)]
    folders = (path.parent.relative_to(ROOT) for path in PACKAGE.rglob("__init__.py"))
    assert listed == sorted(".".join(folder.parts) for folder in folders)


def test_imports_go_round_in_no_circle() -> None:
    """No modules import each other in a circle, also within a package."""
    graph = {module: {own(name) for name in imports(tree(module))} - {module, None} for module in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(MODULES)


def test_only_the_web_knows_aiohttp_web() -> None:
    """Nothing but `charhost/web/` imports `aiohttp.web`."""
    knows = {module for module in MODULES for name in imports(tree(module)) if name.startswith("aiohttp.web")}
    assert {module for module in knows if not module.startswith("charhost.web.")} == set()


def test_only_settings_reads_the_environment() -> None:
    """Only the settings read the environment of the process."""
    words = ("os.environ", "getenv", "import environ", "BaseSettings")
    assert {module for module in MODULES for word in words if word in source(module)} <= READERS


def test_every_counter_is_on_the_registry_of_its_application() -> None:
    """Metrics are made in one module, each with a registry, and never on prometheus_client's own one."""
    kinds = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
    made = [keywords for name, keywords in calls("charhost.metrics") if name.split(".")[-1] in kinds]
    assert made
    assert all("registry" in keywords for keywords in made)
    # Character files register their metrics there, which has to be noticed.
    assert [module for module in MODULES if "REGISTRY" in source(module)] == ["charhost.loading.traces"]
    metrics = ("prometheus_client.metrics", *(f"prometheus_client.{kind}" for kind in kinds))
    uses = {module for module in MODULES for name in imports(tree(module)) if name.startswith(metrics)}
    assert uses <= {"charhost.metrics"}


def test_an_application_leaves_the_registry_of_the_process_alone(settings: Settings) -> None:
    """Two applications add nothing to prometheus_client's own registry."""
    before = {family.name for family in prometheus_client.REGISTRY.collect()}
    create_app(settings)
    create_app(settings)
    assert {family.name for family in prometheus_client.REGISTRY.collect()} == before


def test_only_the_manager_assigns_the_current_set() -> None:
    """The set has one owner, which assigns it at the start and at the swap."""
    assert assignments("_current") == ["charhost.reload.manager", "charhost.reload.manager"]


def test_only_sessions_touches_the_set_of_sessions() -> None:
    """Only the owner of the open sessions uses their set."""
    touching = {name for name in MODULES for node in ast.walk(tree(name)) if _is_attribute(node, "_live")}
    assert touching == {"charhost.web.sessions.sessions"}


def assignments(attribute: str) -> list[str]:
    """Return the modules that assign an attribute, once for each assignment."""
    return [
        name
        for name in sorted(MODULES)
        for node in ast.walk(tree(name))
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if _is_attribute(target, attribute)
    ]


def _is_attribute(node: Any, name: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == name


# Public in spite of their names: Python's library reference documents them (`_replace` of a named tuple, `_value_`
# of an enum).
DOCUMENTED = ("os._exit", "sys._current_frames", "._replace", "._value_")


def is_private(name: str) -> bool:
    """Return whether a name begins with one underscore."""
    return name.startswith("_") and not name.startswith("__")


def private_names_of_others(source: ast.AST) -> list[str]:
    """Return the private names that a module takes from other packages, by import or as an attribute."""
    nodes = list(ast.walk(source))
    own = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"}
    imported = [name for name in imports(source) if any(map(is_private, name.split(".")))]
    attributes = [node for node in nodes if isinstance(node, ast.Attribute) and is_private(node.attr)]
    return imported + [ast.unparse(node) for node in attributes if node.attr not in own]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os; os._exit(1)", ["os._exit"]),
        ("connection._thread.daemon = True", ["connection._thread"]),
        ("connection._thread = None", ["connection._thread"]),
        ("from watchfiles._rust_notify import RustNotify", ["watchfiles._rust_notify.RustNotify"]),
        ("import _thread", ["_thread"]),
        ("from package import _name", ["package._name"]),
        ("class A:\n  def b(self, other): self._c = other._c", []),
        ("from __future__ import annotations; __file__", []),
    ],
)
def test_private_names_are_found(source: str, found: list[str]) -> None:
    """A private name of another package is found in each way to use one; a module's own are not."""
    assert private_names_of_others(ast.parse(source)) == found


@pytest.mark.parametrize("folder", ["charhost", "scripts"])
def test_no_private_name_of_another_package_is_used(folder: str) -> None:
    """An upgrade of a package may change its private names at any time, so no module depends on one."""
    found = [(path, name) for path in (ROOT / folder).rglob("*.py") for name in private_names_of_others(parsed(path))]
    assert [(path, name) for path, name in found if not name.endswith(DOCUMENTED)] == []


def test_no_test_file_imports_another_one() -> None:
    """Helpers of several test files are in modules of their own."""
    found = [(path, name) for path in TEST_FILES for name in imports(parsed(path)) if name.startswith("tests.")]
    assert [(path, name) for path, name in found if ".test_" in name.rpartition(".")[0]] == []


def test_every_test_has_a_docstring() -> None:
    """Every file of tests has some, and every test has a docstring."""
    found = {path: named_tests(parsed(path)) for path in TEST_FILES}
    assert [path for path, tests in found.items() if not tests] == []
    assert [(path, one.name) for path, tests in found.items() for one in tests if not ast.get_docstring(one)] == []


def named_tests(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Return the tests of a file, and the classes that hold tests."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        node
        for node in ast.walk(tree)
        if (isinstance(node, functions) and node.name.startswith("test_"))
        or (isinstance(node, ast.ClassDef) and node.name.startswith("Test"))
    ]
