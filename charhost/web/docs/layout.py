"""The frame of every page at /docs."""

from __future__ import annotations

from html import escape


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
