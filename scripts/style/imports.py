"""The import graph of charhost: circles, and imports that run up."""

import ast
from collections.abc import Iterator, Mapping, Sequence

from scripts.style.figure import Figure
from scripts.style.source import Source


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
    yield Figure("imports in a circle", len(circular), most=0, offenders=circular)
    yield Figure("imports up", len(upward), most=0, offenders=upward)


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
