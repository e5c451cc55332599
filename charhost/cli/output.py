"""Output of the commands: tables on a terminal, aligned text in a pipe, JSON for programs."""

import io
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from charhost.settings import may_force_terminal
from charhost.text import one_line

_MOST_LINES = 10


def prepare_streams() -> None:
    """Make sure that no character can fail to be printed, whatever the terminal's encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_line(text: str, stream: TextIO | None = None) -> None:
    """Print at once; a closed pipe is no error."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        # The exit status must stay that of the command: Python would fail again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_json(text: str) -> None:
    """Print JSON, which is UTF-8 wherever it goes (RFC 8259, section 8.1)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    print_line(text.removesuffix("\n"))


def print_error(text: str) -> None:
    print_line(f"{mark(False, sys.stderr)} {text}", sys.stderr)


def mark(is_good: bool, stream: TextIO | None = None) -> str:
    """Return a sign for success or failure, or a word on a terminal that has no such sign."""
    sign, word = ("✓", "OK") if is_good else ("✗", "ERROR")
    try:
        sign.encode((stream or sys.stdout).encoding)
    except (TypeError, UnicodeEncodeError):
        return word
    return sign


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print *rows* below the names of their *columns*."""
    cells = [[one_line("–" if cell is None else cell) for cell in row] for row in rows]
    if not (sys.stdout.isatty() or may_force_terminal()) or not _draw(columns, cells):
        print_line(aligned([columns, *cells]))


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> bool:
    """Draw a table, unless rich knows the terminal for a pipe."""
    # Imported here: it takes a command longer to start.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        return False
    table = Table(*columns, box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for row in cells:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    with console.capture() as captured:
        console.print(table)
    print_line(captured.get().strip("\n"))
    return True


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Write rows as lines, each column as wide as its widest cell."""
    from rich.cells import cell_len, set_cell_size

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(set_cell_size, row, widths)).rstrip() for row in rows)


def error_line(error: dict[str, Any]) -> str:
    """Return `file:line: type: message`, without the unknown parts."""
    place = ":".join(str(part) for part in (error.get("file"), error.get("line")) if part is not None)
    return one_line(": ".join(str(part) for part in (place, error.get("error_type"), error.get("message")) if part))


def left_out_lines(document: dict[str, Any]) -> list[str]:
    """Return `path: reason` for the first of the paths that were left out, and the number of the others."""
    return _first(f"{entry.get('path')}: {entry.get('reason')}" for entry in _entries(document.get("left_out")))


def left_running_lines(document: dict[str, Any]) -> list[str]:
    """Return `file: kind name` for the first of the threads and tasks left running, and the number of the others."""
    entries = _entries(document.get("left_running"))
    return _first(f"{entry.get('file')}: {entry.get('kind')} {entry.get('name')}" for entry in entries)


def _entries(found: object) -> list[dict[str, Any]]:
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list | tuple) else []


def _first(texts: Iterable[str]) -> list[str]:
    lines = list(map(one_line, texts))
    more = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"and {more} more"] if more > 0 else lines


def moment(text: object) -> object:
    """Cut a time to its seconds."""
    return f"{text.partition('.')[0].removesuffix('Z')}Z" if isinstance(text, str) and text.endswith("Z") else text
