"""The import graph of charhost: circles, imports that run up, private names of other packages."""

import ast
from collections.abc import Iterator, Mapping, Sequence

from scripts.style.figure import Figure
from scripts.style.source import Source

# Public in spite of the underscore: they are in the manual of the standard library.
DOCUMENTED = {"_exit", "_getframe", "_current_frames", "_replace", "_asdict", "_fields", "_make", "_fields_"}


def imports(sources: Sequence[Source], layers: Mapping[str, int]) -> Iterator[Figure]:
    """Measure the imports inside charhost, those under TYPE_CHECKING too."""
    graph: dict[str, set[str]] = {}
    found = [(source, *pair) for source in sources for pair in _own_imports(source, {s.module for s in sources})]
    for source, _, imported in found:
        graph.setdefault(source.module, set()).add(imported)
    circular, upward = list[str](), list[str]()
    for source, line, imported in found:
        if source.module in _reachable(graph, imported):
            circular.append(f"{source.path}:{line}: circle with {imported}")
        if _layer(imported, layers) < _layer(source.module, layers):
            upward.append(f"{source.path}:{line}: imports {imported}, which is above it")
    private = list(_private_names(sources))
    yield Figure("imports in a circle", len(circular), most=0, offenders=circular)
    yield Figure("imports up", len(upward), most=0, offenders=upward)
    yield Figure("private names of other packages", len(private), most=0, offenders=private)


def layers_in(test_house: str) -> dict[str, int]:
    """Return the layer of each package, 0 at the top, as the test of the architecture lists them."""
    for node in ast.parse(test_house).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER":
            return {package: layer for layer, package in enumerate(ast.literal_eval(node.value))}
    raise ValueError("tests/test_house.py: expected a tuple named ORDER, with the packages from the top down")


def _own_imports(source: Source, modules: set[str]) -> Iterator[tuple[int, str]]:
    for line, name in _imported(source.tree):
        while name not in modules and "." in name:
            name = name.rpartition(".")[0]
        if name in modules and name != source.module:
            yield line, name


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    reached, waiting = {start}, {start}
    while waiting:
        waiting |= graph.get(waiting.pop(), set()) - reached
        reached |= waiting
    return reached


def _layer(module: str, layers: Mapping[str, int]) -> int:
    """Return 0 for the top; the files beside the packages are below all."""
    return 0 if module == "charhost.__main__" else layers.get(f"{module}.".split(".")[1], len(layers))


def _private_names(sources: Sequence[Source]) -> Iterator[str]:
    """Yield the uses of a name with an underscore that belongs to another package."""
    own: dict[str, set[str]] = {}
    for source in sources:
        own.setdefault(source.folder, set()).update(_defined(source.tree))
    for source in sources:
        for line, name in _imported(source.tree):
            if any(map(_is_private, name.split("."))) and not name.startswith(source.folder.replace("/", ".") + "."):
                yield f"{source.path}:{line}: {name}"
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own[source.folder]:
                yield f"{source.path}:{node.lineno}: {ast.unparse(node)}"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in DOCUMENTED


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names that the code of a module defines, also as attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name
