"""The archive of a set that a command uploads."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import typer

from charhost.cli.client import Exit
from charhost.cli.upload import archive_of


def test_archive_has_the_files_that_a_server_reads(directory: Path) -> None:
    """The `.py` files are packed with their paths, other files are not."""
    (directory / "resources").mkdir()
    (directory / "resources" / "voice.py").write_text("X = 1\n")
    (directory / "notes.txt").write_text("No source.")
    with tarfile.open(fileobj=io.BytesIO(archive_of(directory))) as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive}
        voice = files["resources/voice.py"]
        assert sorted(files) == ["ada.py", "resources/voice.py"]
        assert voice is not None
        assert voice.read() == b"X = 1\n"


def test_missing_directory_ends_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that cannot be read is named, and nothing is uploaded."""
    with pytest.raises(typer.Exit) as ended:
        archive_of(tmp_path / "missing")
    assert ended.value.exit_code == Exit.REFUSED
    assert "missing" in capsys.readouterr().err


def test_path_that_is_too_long_ends_the_command(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that an archive cannot hold is named."""
    name = "a" * 150
    (directory / f"{name}.py").write_text("X = 1\n")
    with pytest.raises(typer.Exit):
        archive_of(directory)
    assert f"{name}.py is too long for an archive" in capsys.readouterr().err.replace("\n", "")
