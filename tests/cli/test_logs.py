"""The format and the files of the log."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charhost.cli.logs import Formatter, configure
from charhost.settings import Settings
from charhost.text import Lines


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger without handlers; its own ones are restored afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield root
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = handlers, level


def record(message: str, *arguments: object) -> logging.LogRecord:
    """Return a log record of the reload's logger."""
    return logging.LogRecord("charhost.reload", logging.INFO, __file__, 1, message, arguments, None)


def test_a_line_has_time_level_name_and_text() -> None:
    """A log line has the time, the level, the logger's name and the text."""
    line = Formatter().format(record("character reload %s", "applied"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO charhost\.reload: character reload applied", line)


def test_module_names_have_no_build_number() -> None:
    """Module names have no build number, neither in the text nor as a logger's name."""
    theirs = record("No module named 'characters.b7.x'")
    theirs.name = "characters.b7.charles"
    assert Formatter().format(theirs).endswith("INFO characters.charles: No module named 'characters.x'")


def test_a_traceback_follows_its_line() -> None:
    """A traceback follows its log line."""
    failed = record("it failed")
    try:
        raise RuntimeError("arr")
    except RuntimeError:
        failed.exc_info = sys.exc_info()
    lines = Formatter().format(failed).splitlines()
    assert (lines[1], lines[-1]) == ("Traceback (most recent call last):", "RuntimeError: arr")


@pytest.mark.parametrize("raw", ["a\nb", "a\r\nb", "\x1b[2Ja", "a\x00", "\x9bA", "a\u2028b", "a\u202eb", "a\x7f"])
def test_control_characters_are_escaped(raw: str) -> None:
    """Neither a value nor the text of an error breaks a line or obeys a terminal."""
    errors = record("%s: %d of %s", ValueError(raw), 1, raw), record(raw), record("%(name)s", {"name": raw})
    for line in map(Formatter().format, errors):
        assert line.isprintable(), line


def test_lines_are_kept_where_they_are_meant() -> None:
    """A traceback that is a value keeps its lines, and a sign for a terminal in it is escaped."""
    shown = Formatter().format(record("it failed\n%s", Lines("Traceback\n\x1b[2J"))).splitlines()
    assert shown[1:] == ["Traceback", "\\x1b[2J"]


def test_no_line_of_a_traceback_looks_like_a_record() -> None:
    """The text of an exception cannot forge a record."""
    failed = record("it failed")
    try:
        raise RuntimeError("a\n2026-11-22 10:00:00,123 INFO charhost.reload: all is well\n\x1b[2J")
    except RuntimeError:
        failed.exc_info = sys.exc_info()
    lines = Formatter().format(failed).splitlines()
    assert [line for line in lines if re.match(r"\d{4}-", line)] == lines[:1]
    assert lines[-2:] == [" 2026-11-22 10:00:00,123 INFO charhost.reload: all is well", "\\x1b[2J"]


def test_the_log_goes_to_standard_error(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of INFO and above are written to standard error, others are not."""
    configure(Settings())
    logging.getLogger("charhost.reload").info("character reload applied")
    logging.getLogger("charhost.reload").debug("what only developers want")
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "character reload applied" in captured.err


def test_the_log_goes_to_a_file_too(root: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log file of the settings gets the same lines, and its folders are made."""
    configure(Settings(log_file=tmp_path / "logs" / "server.log"))
    logging.getLogger("charhost.reload").info("character reload applied from /développeuse")
    written = (tmp_path / "logs" / "server.log").read_text(encoding="utf-8")
    assert "/développeuse" in written
    assert written == capsys.readouterr().err


def test_the_log_file_is_continued(root: logging.Logger, tmp_path: Path) -> None:
    """A restart appends to the log file."""
    (tmp_path / "server.log").write_text("before\n")
    configure(Settings(log_file=tmp_path / "server.log"))
    logging.getLogger("charhost.reload").info("after")
    assert [line.split()[-1] for line in (tmp_path / "server.log").read_text().splitlines()] == ["before", "after"]


def test_a_rotated_log_file_is_opened_again(root: logging.Logger, tmp_path: Path) -> None:
    """A log file that was moved away, as by logrotate, is opened again."""
    configure(Settings(log_file=tmp_path / "server.log"))
    (tmp_path / "server.log").rename(tmp_path / "server.log.1")
    logging.getLogger("charhost.reload").info("after")
    assert "after" in (tmp_path / "server.log").read_text()


def test_a_path_that_is_not_utf8_can_be_logged(root: logging.Logger, tmp_path: Path) -> None:
    """A file name that is not UTF-8 is escaped in the log file."""
    configure(Settings(log_file=tmp_path / "server.log"))
    logging.getLogger("charhost.reload").info("caf\udce9")
    assert "caf\\udce9" in (tmp_path / "server.log").read_text()


def test_configuring_twice_writes_every_line_once(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """A second configuration replaces the handlers of the first."""
    configure(Settings())
    configure(Settings())
    logging.getLogger("charhost.reload").info("once")
    assert capsys.readouterr().err.count("once") == 1
