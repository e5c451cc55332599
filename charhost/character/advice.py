"""Advice for authors about errors that a character file meets because it is no script."""

import sys
from collections.abc import Container
from types import ModuleType

from charhost.text import ROOT, public

_NO_LOOP = (
    "a file is loaded on a thread without an event loop, and each call of an `async def` method has one of its own: "
    "make tasks, locks and clients in the method that uses them"
)
_NO_HELPER = f"`{ROOT}` always means the directory that the file is in, which has no such module: check the spelling"

# The packages whose modules have another name, of those that people use most.
_PACKAGES = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}


def advise(error: BaseException, helpers: Container[str]) -> str | None:
    """Return the remedy of *error*, if it is known; *helpers* are the modules of the directory, relative to it."""
    # The exact types: an author's own exception explains itself.
    kind = type(error)
    if kind is RuntimeError and "event loop" in str(error):
        return _NO_LOOP
    if isinstance(error, AttributeError) and kind is AttributeError and isinstance(module := error.obj, ModuleType):
        return _about_helper(module.__name__, helpers)
    if isinstance(error, ImportError) and kind in (ImportError, ModuleNotFoundError) and error.name:
        return _about_helper(error.name, helpers) or (_about_missing(error.name) if kind is not ImportError else None)
    return None


def _about_helper(name: str, helpers: Container[str]) -> str | None:
    if not name or name not in helpers:
        return None
    package, _, module = name.rpartition(".")
    return f"a helper of that name is imported with `from .{package} import {module}`"


def _about_missing(name: str) -> str | None:
    if public(name) != name:
        return _NO_HELPER
    if "." in name:  # a part of a package that is there
        return None
    return (
        f"install it where the server runs ({sys.executable} -m pip install {_PACKAGES.get(name, name)}), then reload"
    )
