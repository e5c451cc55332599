"""The ways in which editors and tools change a directory: each leaves it different from the current set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import character

Edit = Callable[[Path], object]


def write_in_place(directory: Path) -> None:
    (directory / "ada.py").write_text(character("Ada", "In place."))


def rename_over(directory: Path) -> None:
    temporary = directory / ".ada.py.1234~"
    temporary.write_text(character("Ada", "Renamed."))
    temporary.replace(directory / "ada.py")


def backup_and_rename(directory: Path) -> None:
    (directory / "ada.py").rename(directory / "ada.py~")
    (directory / "ada.py").write_text(character("Ada", "With a backup."))
    (directory / "ada.py~").unlink()


def make_nested_folders(directory: Path) -> None:
    (directory / "extra" / "deep").mkdir(parents=True)
    (directory / "extra" / "deep" / "tone.py").write_text("WORDS = 'deep'\n")


def move_folder_in(directory: Path) -> None:
    ready = directory.parent / "ready"
    (ready / "deep").mkdir(parents=True)
    (ready / "deep" / "tone.py").write_text("WORDS = 'moved'\n")
    ready.rename(directory / "extra")


def move_folder_out(directory: Path) -> None:
    (directory / "resources").rename(directory.parent / "away")


def make_folder_again(directory: Path) -> None:
    shutil.rmtree(directory / "resources")
    (directory / "resources").mkdir()
    (directory / "resources" / "tone.py").write_text("WORDS = 'again'\n")


def make_directory_again(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.mkdir()
    (directory / "ada.py").write_text(character("Ada", "Again."))


def rename_directory_in(directory: Path) -> None:
    new = directory.parent / "new"
    new.mkdir()
    (new / "ada.py").write_text(character("Ada", "Of the new directory."))
    directory.rename(directory.parent / "old")
    new.rename(directory)


def edit_helper(directory: Path) -> None:
    (directory / "resources" / "tone.py").write_text("WORDS = 'stern'\n")


def add_file(directory: Path) -> None:
    (directory / "eve.py").write_text(character("Eve"))


def remove_file(directory: Path) -> None:
    (directory / "carl.py").unlink()


def rename_file(directory: Path) -> None:
    (directory / "carl.py").rename(directory / "charles.py")


def make_file_without_utf8_name(directory: Path) -> None:
    Path(os.fsdecode(os.fsencode(directory) + b"/caf\xe9.py")).write_text(character("Café"))


def restore_time(directory: Path) -> None:
    file = directory / "ada.py"
    status = file.stat()
    file.write_text(file.read_text().replace("kind", "dull"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


EDITS = [
    pytest.param(write_in_place, id="W1-write-in-place"),
    pytest.param(rename_over, id="W2-rename-over"),
    pytest.param(backup_and_rename, id="W3-backup-and-rename"),
    pytest.param(make_directory_again, id="W7-directory-again"),
    pytest.param(rename_directory_in, id="W8-directory-by-rename"),
    pytest.param(make_nested_folders, id="W12-nested-folders"),
    pytest.param(move_folder_in, id="W13-folder-moved-in"),
    pytest.param(move_folder_out, id="W13-folder-moved-out"),
    pytest.param(make_folder_again, id="W14-folder-again"),
    pytest.param(restore_time, id="W21-time-restored"),
    pytest.param(edit_helper, id="helper"),
    pytest.param(add_file, id="added"),
    pytest.param(remove_file, id="removed"),
    pytest.param(rename_file, id="renamed"),
    pytest.param(make_file_without_utf8_name, id="name-without-utf8"),
]
