"""A parser that remembers the elements of a page."""

from __future__ import annotations

from html.parser import HTMLParser

EMPTY = {"meta", "link", "input", "br"}


class Elements(HTMLParser):
    """The elements of a page: their attributes, and those that were never closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, name: str) -> set[str]:
        """Every value of an attribute."""
        return {value or "" for key, value in self.attributes if key == name}
