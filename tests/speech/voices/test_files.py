"""Files of voices, of which none outside a few directories is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.speech.voices.files import file_below


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two folders with a.wav, the second one with b.wav as well."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "a.wav").touch()
    (folders[1] / "b.wav").touch()
    (tmp_path / "outside.wav").touch()
    (folders[0] / "link.wav").symlink_to(tmp_path / "outside.wav")
    return folders


@pytest.mark.parametrize(("path", "found"), [("a.wav", "one/a.wav"), ("b.wav", "two/b.wav")])
def test_first_folder_that_has_it(folders: list[Path], tmp_path: Path, path: str, found: str) -> None:
    """A folder that does not have the file is passed over."""
    assert file_below(path, folders) == tmp_path / found


@pytest.mark.parametrize("path", ["missing.wav", "../outside.wav", "/etc/passwd", "link.wav", ".", "a\0b"])
def test_nothing_outside_is_found(folders: list[Path], path: str) -> None:
    """Neither a path nor a link leads out, and a folder is no file."""
    assert file_below(path, [*folders, Path("/nowhere")]) is None
