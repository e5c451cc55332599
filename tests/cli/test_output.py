"""The output of the commands, for a terminal, a pipe and programs."""

from __future__ import annotations

import io
import sys

import pytest

from charhost.cli.output import aligned, error_line, mark, prepare_streams, print_json, print_line, show_table


def test_columns_are_as_wide_as_they_look() -> None:
    """A Chinese character counts as two columns, and no line ends in spaces."""
    assert aligned([("file", "name"), ("北京", "x"), ("a", "")]) == "file  name\n北京  x\na"


def test_table_in_a_pipe_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe a table has one plain line for each row, and a dash for a missing value."""
    show_table(("file", "size"), [("ada.py", 1), ("bob.py", None)])
    assert capsys.readouterr().out == "file    size\nada.py  1\nbob.py  –\n"


def test_table_on_a_terminal_is_drawn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a table has a line below its head, and brackets are text."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    show_table(("file", "name"), [("ada.py", "[red]Ada[/red]")])
    shown = capsys.readouterr().out
    assert ("──" in shown, "[red]Ada[/red]" in shown) == (True, True)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ({"file": "a.py", "line": 3, "error_type": "NameError", "message": "x"}, "a.py:3: NameError: x"),
        ({"file": "a.py", "line": None, "error_type": "Crash", "message": "x"}, "a.py: Crash: x"),
        ({}, ""),
    ],
)
def test_error_is_a_line_as_compilers_write_it(error: dict[str, object], line: str) -> None:
    """An error is one line as compilers write it, without the parts that are unknown."""
    assert error_line(error) == line


def test_terminal_without_the_signs_gets_words() -> None:
    """A stream that cannot encode the check mark gets words."""
    ascii_only = io.TextIOWrapper(io.BytesIO(), "ascii")
    assert [mark(True, ascii_only), mark(False, ascii_only)] == ["OK", "ERROR"]
    assert [mark(True, io.TextIOWrapper(io.BytesIO(), "utf-8")), mark(False)] == ["✓", "✗"]


def test_any_name_can_be_printed_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters that the encoding lacks are escaped; JSON is always UTF-8."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    prepare_streams()
    print_line("Zoë")
    print_json('"Zoë"')
    assert raw.getvalue().decode() == 'Zo\\xeb\n"Zoë"\n'
