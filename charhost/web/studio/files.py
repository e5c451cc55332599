"""The files of the studio, at addresses that change with them."""

import hashlib
import posixpath
import re
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import NamedTuple

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_PAGE, _ENTRY = "index.html", "studio.js"
_IMPORT = re.compile(r'(?:\bfrom|^import) ?"(\.[^"]+)"', re.MULTILINE)
_ADDRESS = re.compile(r"([0-9a-f]{16})/(.+)")


class StudioFile(NamedTuple):
    """A file as it is sent."""

    content: bytes
    content_type: str
    etag: str


@cache
def files() -> dict[str, StudioFile]:
    """Return all files but the page, by path."""
    found: dict[str, StudioFile] = {}
    folders = [(PurePosixPath(), resources.files("charhost.web.studio"))]
    while folders:
        path, folder = folders.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                folders.append((path / entry.name, entry))
            elif PurePosixPath(entry.name).suffix in TYPES and entry.name != _PAGE:
                found[str(path / entry.name)] = _file(entry.name, entry.read_bytes())
    return found


@cache
def revision() -> str:
    """Return the part of the addresses that differs when any file does, so that browsers may keep what is there."""
    return _digest("".join(f"{path} {file.etag}\n" for path, file in sorted(files().items())).encode())


def split(address: str) -> tuple[str | None, str]:
    """Return the revision in the address of a file, if there is one, and the path of the file."""
    found = _ADDRESS.fullmatch(address)
    return (found[1], found[2]) if found else (None, address)


@cache
def page() -> StudioFile:
    """Return the page, which loads the modules of the first view side by side, instead of one after the other."""
    text = resources.files("charhost.web.studio").joinpath(_PAGE).read_text("utf-8")
    preloads = "".join(f'<link rel="modulepreload" href="studio/{path}">\n' for path in first_modules())
    text = text.replace("</head>", f"{preloads}</head>").replace('"studio/', f'"studio/{revision()}/')
    return _file(_PAGE, text.encode())


def first_modules() -> list[str]:
    """Return the paths of the modules that the page cannot do without."""
    paths = [_ENTRY]
    for path in paths:  # which grows
        imported = _IMPORT.findall(files()[path].content.decode())
        found = (posixpath.normpath(posixpath.join(posixpath.dirname(path), name)) for name in imported)
        paths += [name for name in dict.fromkeys(found) if name not in paths]
    return paths


def _file(name: str, content: bytes) -> StudioFile:
    return StudioFile(content, TYPES[PurePosixPath(name).suffix], _digest(content))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
