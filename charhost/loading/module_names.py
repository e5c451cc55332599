"""Which module name stands for which file of a directory."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from charhost.loading.source_file import SourceFile


class ModuleSource(NamedTuple):
    """The target of one module name: a file, or a folder without `__init__.py`."""

    folder: str
    is_package: bool
    file: SourceFile | None


def layout(root: str, files: Mapping[str, SourceFile]) -> dict[str, ModuleSource]:
    """Name the modules of *files* (by path below *root*), relative to the directory; `""` is the directory itself."""
    modules = {"": ModuleSource(root, True, files.get("__init__.py"))}
    # Names that are module names come first, so that a mangled one never takes the place of a real one; packages
    # come before modules, as in Python's own path finder.
    for path in sorted(files, key=_precedence):
        file = files[path]
        folders, _, stem = path.removesuffix(".py").rpartition("/")
        package = _add_packages(modules, root, files, folders) if folders else ""
        if stem == "__init__":
            continue
        name = f"{package}.{_module_name(stem)}" if package else _module_name(stem)
        taken = modules.get(name)
        if taken is not None and taken.file is not None:
            name += f"_x{len(modules):x}_"
        modules[name] = ModuleSource(os.path.dirname(file.location), False, file)
    return modules


def _precedence(path: str) -> tuple[bool, bool, str]:
    regular = all(unicodedata.is_normalized("NFKC", part) for part in path.split("/"))
    identifiers = all(part.isidentifier() for part in path.removesuffix(".py").split("/"))
    return not (regular and identifiers), not path.endswith("/__init__.py"), path


def _add_packages(modules: dict[str, ModuleSource], root: str, files: Mapping[str, SourceFile], folders: str) -> str:
    """Register the folders above a file as packages; answers the name of the innermost."""
    name, path, location = "", "", root
    for folder in folders.split("/"):
        path, location = f"{path}{folder}/", os.path.join(location, folder)
        name = f"{name}.{_module_name(folder)}" if name else _module_name(folder)
        if name not in modules:
            modules[name] = ModuleSource(location, True, files.get(f"{path}__init__.py"))
    return name


def _module_name(stem: str) -> str:
    """Spell a file name as Python's parser spells a module name; one that is none is mangled."""
    if stem.isidentifier():
        return unicodedata.normalize("NFKC", stem)
    return "_" + re.sub(r"\W", lambda match: f"_x{ord(match[0]):x}_", stem)
