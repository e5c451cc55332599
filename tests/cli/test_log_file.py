"""A log file that cannot be written, because its disk is full, read-only or gone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from charhost.cli.logs import LogFile, configure
from charhost.errors import SettingsError
from charhost.settings import Settings

log = logging.getLogger("charhost.reload")


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """Return the root logger, without the handlers of the tests before, which it gets back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield root
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = handlers, level


def test_a_full_disk_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line still goes to standard error, which also has the reason once."""
    configure(Settings(log_file=Path("/dev/full")))
    for number in range(100):
        log.info("line %d", number)
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition("charhost.")[2] for line in lines] == [
        "reload: line 0",
        "log: the log file /dev/full cannot be written: [Errno 28] No space left on device",
        *(f"reload: line {number}" for number in range(1, 100)),
    ]


def test_a_file_that_can_be_made_again_is_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While its folder is gone its lines are lost; the next one after that is written, without a restart."""
    folder, elsewhere = tmp_path / "logs", tmp_path / "unmounted"
    configure(Settings(log_file=folder / "server.log"))
    log.info("before")
    folder.rename(elsewhere)
    log.info("meanwhile")
    log.info("meanwhile")
    elsewhere.rename(folder)
    log.info("after")
    log.info("after")
    written = [line.split()[-1] for line in (folder / "server.log").read_text().splitlines()]
    assert written == ["before", "after", "after"]
    assert capsys.readouterr().err.count("server.log cannot be written: [Errno 2]") == 1


def test_a_line_that_a_full_disk_cut_off_does_not_keep_the_file(tmp_path: Path, root: logging.Logger) -> None:
    """The file is opened again elsewhere although the rest of a line never found room."""
    configure(Settings(log_file=Path("/dev/full")))
    log.info("lost")
    (handler,) = (handler for handler in root.handlers if isinstance(handler, LogFile))
    handler.baseFilename = str(tmp_path / "server.log")
    log.info("found")
    assert [line.split()[-1] for line in (tmp_path / "server.log").read_text().splitlines()] == ["found"]


def test_a_file_that_cannot_be_opened_at_the_start_is_named(tmp_path: Path) -> None:
    """The server does not begin without the configured file; the error has a remedy."""
    (tmp_path / "logs").write_text("")
    file = tmp_path / "logs" / "server.log"
    with pytest.raises(SettingsError, match=f"the log file {file} cannot be opened: .*; name another with --log-file"):
        configure(Settings(log_file=file))
