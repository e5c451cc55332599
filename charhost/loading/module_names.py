"""The names under which the files of a directory can be imported."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple


class ModuleSource(NamedTuple):
    """The target of one module name: a file, by its path below the directory, or a folder without `__init__.py`."""

    folder: str
    is_package: bool
    file: str | None


class Layout(NamedTuple):
    """The targets of module names, where `""` is the directory itself, and the name of each file."""

    modules: Mapping[str, ModuleSource]
    names: Mapping[str, str]


@lru_cache(maxsize=4)  # most reloads find the same files, with other content
def module_layout(root: str, paths: tuple[str, ...]) -> Layout:
    """Name the modules of the files at *paths* below *root*, relative to it."""
    modules = _modules(root, paths)
    return Layout(modules, {source.file: name for name, source in modules.items() if source.file})


@lru_cache(maxsize=4)
def character_paths(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of *paths* that are character files, in order."""
    return tuple(sorted(path for path in paths if "/" not in path and not path.startswith("_")))


def _modules(root: str, paths: tuple[str, ...]) -> Mapping[str, ModuleSource]:
    known = frozenset(paths)
    modules = {"": ModuleSource(root, True, "__init__.py" if "__init__.py" in known else None)}
    # Names that are module names come first, so that a mangled one never takes the place of a real one; packages
    # come before modules, as in Python's own path finder.
    for path in sorted(paths, key=_precedence):
        package, folder = "", ""
        *folders, stem = path.removesuffix(".py").split("/")
        for part in folders:
            package, folder = _joined(package, part), os.path.join(folder, part)
            if package not in modules:
                file = f"{folder}/__init__.py"
                modules[package] = ModuleSource(os.path.join(root, folder), True, file if file in known else None)
        if stem == "__init__":
            continue
        name = _joined(package, stem)
        if name in modules and modules[name].file is not None:
            name += f"_x{len(modules):x}_"
        modules[name] = ModuleSource(os.path.dirname(os.path.join(root, path)), False, path)
    return modules


def _precedence(path: str) -> tuple[bool, bool, str]:
    regular = all(unicodedata.is_normalized("NFKC", part) for part in path.split("/"))
    identifiers = all(part.isidentifier() for part in path.removesuffix(".py").split("/"))
    return not (regular and identifiers), not path.endswith("/__init__.py"), path


def _joined(package: str, stem: str) -> str:
    """Spell a file name as Python's parser spells a module name, mangled if it is none, and put it below a package."""
    if stem.isidentifier():
        name = unicodedata.normalize("NFKC", stem)
    else:
        name = "_" + re.sub(r"\W", lambda match: f"_x{ord(match[0]):x}_", stem)
    return f"{package}.{name}" if package else name
