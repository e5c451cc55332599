"""What the log looks like."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charhost.cli.logs import Formatter, configure
from charhost.settings import Settings


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, without handlers and put back in order afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield root
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = handlers, level


def record(message: str, *arguments: object) -> logging.LogRecord:
    """A record of the reload's logger."""
    return logging.LogRecord("charhost.reload", logging.INFO, __file__, 1, message, arguments, None)


def test_a_line_has_time_level_name_and_text() -> None:
    """A record is one line that says when, how serious, who and what."""
    line = Formatter().format(record("character reload %s", "applied"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO charhost\.reload: character reload applied", line)


def test_modules_are_called_as_their_authors_call_them() -> None:
    """The number of a build is no business of who reads a log, neither in the text nor as a logger's name."""
    theirs = record("No module named 'characters.b7.x'")
    theirs.name = "characters.b7.charles"
    assert Formatter().format(theirs).endswith("INFO characters.charles: No module named 'characters.x'")


def test_a_traceback_follows_its_line() -> None:
    """What was raised is shown below the line."""
    failed = record("it failed")
    try:
        raise RuntimeError("arr")
    except RuntimeError:
        failed.exc_info = sys.exc_info()
    lines = Formatter().format(failed).splitlines()
    assert (lines[1], lines[-1]) == ("Traceback (most recent call last):", "RuntimeError: arr")


def test_the_log_goes_to_standard_error(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines from INFO on are written to standard error, others are not."""
    configure(Settings())
    logging.getLogger("charhost.reload").info("character reload applied")
    logging.getLogger("charhost.reload").debug("what only developers want")
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "character reload applied" in captured.err


def test_the_log_goes_to_a_file_too(root: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file of the settings, whose folders are made, gets the same lines."""
    configure(Settings(log_file=tmp_path / "logs" / "server.log"))
    logging.getLogger("charhost.reload").info("character reload applied from /développeuse")
    written = (tmp_path / "logs" / "server.log").read_text(encoding="utf-8")
    assert "/développeuse" in written
    assert written == capsys.readouterr().err


def test_the_log_file_is_continued(root: logging.Logger, tmp_path: Path) -> None:
    """A restart does not lose what was written before it."""
    (tmp_path / "server.log").write_text("before\n")
    configure(Settings(log_file=tmp_path / "server.log"))
    logging.getLogger("charhost.reload").info("after")
    assert [line.split()[-1] for line in (tmp_path / "server.log").read_text().splitlines()] == ["before", "after"]


def test_a_rotated_log_file_is_made_anew(root: logging.Logger, tmp_path: Path) -> None:
    """A file that was moved away, as logrotate does, is opened again."""
    configure(Settings(log_file=tmp_path / "server.log"))
    (tmp_path / "server.log").rename(tmp_path / "server.log.1")
    logging.getLogger("charhost.reload").info("after")
    assert "after" in (tmp_path / "server.log").read_text()


def test_a_path_that_is_not_utf8_can_be_logged(root: logging.Logger, tmp_path: Path) -> None:
    """A name with stray bytes in it is escaped in the file and does not stop the log."""
    configure(Settings(log_file=tmp_path / "server.log"))
    logging.getLogger("charhost.reload").info("caf\udce9")
    assert "caf\\udce9" in (tmp_path / "server.log").read_text()


def test_configuring_twice_writes_every_line_once(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """The handlers of before are replaced, not joined."""
    configure(Settings())
    configure(Settings())
    logging.getLogger("charhost.reload").info("once")
    assert capsys.readouterr().err.count("once") == 1
