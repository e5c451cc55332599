"""The pages for readers: README.md, docs/ and characters/README.md, cut into tables and blocks of code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CHARACTERS = ROOT / "characters" / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, CHARACTERS, *DOCS]


def read(name: str) -> str:
    """Return the text of a page of docs/, without its suffix."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def rows(page: str, header: str) -> list[list[str]]:
    """Return the cells of the table whose header line begins with *header*."""
    lines = page[page.index(f"| {header} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def block(page: str, language: str) -> str:
    """Return the only block of code in *language*."""
    [found] = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return str(found)


def anchors(page: str) -> set[str]:
    """Return the anchor of each heading, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """Return the target of each link that leads neither to another host nor stands in a block of code."""
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", page, flags=re.DOTALL))
    return [target for target in targets if not re.match(r"\w+:", target)]


def dead_links(page: Path, text: str) -> list[str]:
    """Return the links of a page that lead to no file, or to no heading of it."""
    return [target for target in links(text) if not _leads_somewhere(page, text, target)]


def _leads_somewhere(page: Path, text: str, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = page.parent / path
    if not file.exists():
        return False
    return not anchor or anchor in anchors(text if not path else file.read_text(encoding="utf-8"))
