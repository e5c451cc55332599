"""The pages of docs/ and the description of character files, rendered from Markdown."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from charhost.settings import default_directory, project_folder

if TYPE_CHECKING:
    from markdown_it.token import Token

# The name of the first page, docs/README.md; its address is /docs.
INDEX = ""

_FORMAT = "character-format"
_HOME = "../docs"
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)


class Manual:
    """The pages of *folder* by name; each is rendered when it is first requested."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or project_folder("charhost.docs", "docs")
        pages = {path.stem: path for path in folder.glob("*.md")}
        # The links between pages are written for a checkout, where each page has one of these paths.
        self._addresses = {f"docs/{name}.md": name for name in pages}
        self._addresses |= {"docs/README.md": _HOME, "README.md": _HOME, "characters/README.md": _FORMAT}
        self._paths = {INDEX if name == "README" else name: path for name, path in pages.items()}
        self._pictures = {path.name: path for path in folder.glob("*.png")}
        self._paths[_FORMAT] = default_directory() / "README.md"
        self._rendered: dict[str, str] = {}

    def html(self, name: str) -> str | None:
        """Return a page, or None if there is none of that name."""
        path = self._paths.get(name)
        if path is None or not path.is_file():
            return None
        if name not in self._rendered:
            self._rendered[name] = self._render(name, path.read_text(encoding="utf-8"))
        return self._rendered[name]

    def picture(self, name: str) -> bytes | None:
        """Return a picture that pages show, or None if there is none of that name."""
        path = self._pictures.get(name)
        return path.read_bytes() if path is not None else None

    def _render(self, name: str, text: str) -> str:
        folder = "characters" if name == _FORMAT else "docs"
        root = "docs/" if name == INDEX else ""  # /docs is no folder, so links from there need its name
        headings, body = _converted(text, lambda target: self._address(folder, target, root))
        [(title, _), *sections] = headings
        contents = "\n".join(f'<li><a href="#{anchor}">{escape(label)}</a></li>' for label, anchor in sections)
        header = f'<p><a href="{_joined(root, _HOME)}">charhost</a> · <a href="{root}api">API</a></p>'
        head = f'<link rel="stylesheet" href="{root}style.css">'
        return framed(f"{title} · charhost", header, f"<ul>\n{contents}\n</ul>", f"<article>\n{body}</article>", head)

    def _address(self, folder: str, target: str, root: str) -> str | None:
        """Return where a link leads at /docs, or None if its file is not served."""
        parts = urlsplit(target)
        if parts.scheme or not parts.path:
            return target
        address = self._addresses.get(_joined(folder, parts.path))
        if address is None:
            return None
        return _joined(root, address) + (f"#{parts.fragment}" if parts.fragment else "")


def framed(title: str, header: str, nav: str, main: str, head: str = "") -> str:
    """Return a page; all but its title are HTML."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
{head}
</head>
<body>
<header>{header}</header>
<nav aria-label="Contents">{nav}</nav>
<main>{main}</main>
</body>
</html>
"""


def _joined(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def _converted(text: str, address: Callable[[str], str | None]) -> tuple[list[tuple[str, str]], str]:
    """Return the headings of the first two levels, each with its anchor, and the HTML of a page."""
    # Imported here: a server whose pages are not read does not need it.
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(_COMMENT.sub("", text))
    headings = []
    for opening, token in pairwise(tokens):
        children = token.children or []
        if opening.type == "heading_open":
            label = "".join(child.content for child in children)
            opening.attrSet("id", anchor := _anchor(label))
            headings += [(label, anchor)] if opening.tag in ("h1", "h2") else []
        token.children = _relinked(children, address)
    return headings, parser.renderer.render(tokens, parser.options, {})


def _relinked(tokens: Sequence[Token], address: Callable[[str], str | None]) -> list[Token]:
    """Set the address of each link; a link to a file that is not served keeps only its text."""
    kept, is_served = [], True
    for token in tokens:
        if token.type == "link_open":
            target = address(str(token.attrGet("href")))
            is_served = target is not None
            token.attrSet("href", target or "")
        if is_served or token.type not in ("link_open", "link_close"):
            kept.append(token)
    return kept


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading; the links between pages name these."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
