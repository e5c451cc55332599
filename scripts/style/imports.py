"""The import graph of charhost: circles, imports that run up, private names of other packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from scripts.style.figure import Figure, Offender
from scripts.style.source import Source

ORDERS = {"LAYERS", "ORDER"}  # the names that the list of packages may have
# Public in spite of the underscore: they are in the manual of the standard library.
DOCUMENTED = {"_exit", "_getframe", "_current_frames", "_replace", "_asdict", "_fields", "_make", "_fields_"}

Graph = Mapping[str, set[str]]


class Import(NamedTuple):
    """One import of a module of charhost by another."""

    importer: Source
    line: int
    imported: str

    def offence(self, text: str) -> Offender:
        return Offender(self.importer.path, self.line, text)


def imports(sources: Sequence[Source], order: Mapping[str, int]) -> Iterator[Figure]:
    """Measure the imports inside charhost, those under TYPE_CHECKING too."""
    found = list(own_imports(sources))
    upward, private = tuple(imports_up(found, order)), tuple(private_names(sources))
    circular = tuple(circles(found))
    yield Figure("imports inside charhost", len(found))
    yield Figure("circles", len({offender.text for offender in circular}), most=0, offenders=circular)
    yield Figure("imports up", len(upward), most=0, offenders=upward)
    yield Figure("private names of other packages", len(private), most=0, offenders=private)


def order_in(test_house: str) -> dict[str, int]:
    """Return the layer of each package, 0 at the top, as the test of the architecture lists them."""
    for node in ast.parse(test_house).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Tuple(elts=layers)) if name in ORDERS:
                return {package: number for number, layer in enumerate(layers) for package in _strings(layer)}
    raise ValueError(f"expected a tuple named {' or '.join(sorted(ORDERS))}, with the packages from the top down")


def own_imports(sources: Sequence[Source]) -> Iterator[Import]:
    """Yield each import of a module of charhost by another one."""
    modules = {source.module for source in sources}
    for source in sources:
        found: dict[tuple[int, str], Import] = {}  # by statement and module: several names of one are one import
        for line, name in _imported(source.tree):
            while name not in modules and "." in name:
                name = name.rpartition(".")[0]
            if name in modules and name != source.module:
                found[line, name] = Import(source, line, name)
        yield from found.values()


def imports_up(found: Sequence[Import], order: Mapping[str, int]) -> Iterator[Offender]:
    """Yield the imports that run up, and those by or of a package that has no place in the order."""
    for one in found:
        importer, imported = layer(one.importer.module, order), layer(one.imported, order)
        if importer is None or imported is None:
            lost = package(one.imported if imported is None else one.importer.module)
            yield one.offence(f"the package {lost} is not in the order of tests/test_house.py")
        elif imported < importer:
            yield one.offence(f"imports {one.imported}, which is above it")


def layer(module: str, order: Mapping[str, int]) -> int | None:
    """Return the layer of a module, 0 at the top; None for a package that the order leaves out."""
    name = package(module)
    if name == "__main__":
        return 0
    is_file = module.count(".") < 2
    return order.get(name, len(order) if is_file else None)


def circles(found: Sequence[Import]) -> Iterator[Offender]:
    """Yield the imports that make a circle of modules, then those that make one of packages alone."""
    in_modules = list(_circular([(one.importer.module, one.imported, one) for one in found]))
    known = {(offender.path, offender.line) for offender in in_modules}
    in_packages = _circular([(package(one.importer.module), package(one.imported), one) for one in found])
    yield from in_modules
    yield from (offender for offender in in_packages if (offender.path, offender.line) not in known)


def private_names(sources: Sequence[Source]) -> Iterator[Offender]:
    """Yield the uses of a name with an underscore that belongs to another package."""
    own: dict[str, set[str]] = {}
    for source in sources:
        own.setdefault(source.path.rpartition("/")[0], set()).update(_defined(source.tree))
    for source in sources:
        folder = source.path.rpartition("/")[0]
        for line, name in _imported(source.tree):
            if _is_private(name) and not name.startswith(folder.replace("/", ".") + "."):
                yield Offender(source.path, line, name)
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own[folder]:
                yield Offender(source.path, node.lineno, ast.unparse(node))


def package(module: str) -> str:
    """Return the package of charhost, or the file beside the packages, that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _circular(edges: Sequence[tuple[str, str, Import]]) -> Iterator[Offender]:
    graph: dict[str, set[str]] = {}
    for importer, imported, _ in edges:
        graph.setdefault(importer, set()).add(imported)
    reached = {name: _reachable(graph, name) for name in graph}
    for importer, imported, one in edges:
        if importer != imported and importer in reached.get(imported, ()):
            members = sorted(name for name in reached[importer] if importer in reached.get(name, ()))
            yield one.offence("circle of " + ", ".join(members))


def _reachable(graph: Graph, start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph.get(waiting.pop(), set()) - reached:
            reached.add(name)
            waiting.append(name)
    return reached


def _strings(node: ast.AST) -> list[str]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def _is_private(name: str) -> bool:
    """Tell `_x` and `a._x.b` from `x` and `__x__`."""
    parts = [part for part in name.split(".") if not part.endswith("__") and part not in DOCUMENTED]
    return any(part.startswith("_") for part in parts)


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names that the code of a module defines, also as attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_own(node):
            yield node.attr


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
