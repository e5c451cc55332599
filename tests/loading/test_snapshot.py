"""A snapshot of a directory: its files, its errors and its limits."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from charhost.errors import DirectoryTooLarge
from charhost.loading.snapshot import _read_regular
from tests.loading.helpers import LIMITS, snap
from tests.reload.helpers import Write


def test_character_files_are_those_without_underscore(directory: Path, write: Write) -> None:
    """Files at the top are characters unless their names start with `_`; the others are helpers."""
    for path in ("_shared.py", "__init__.py", "resources/x.py", "bob.py"):
        write(path, "")
    taken = snap(directory)
    assert taken.character_paths == ("ada.py", "bob.py")
    assert list(taken.files) == ["__init__.py", "_shared.py", "ada.py", "bob.py", "resources/x.py"]


def test_bytes_are_those_of_the_disk(directory: Path) -> None:
    """A file has the data, path and location of the disk."""
    (directory / "ada.py").write_bytes(b"# caf\xe9\r\n")
    file = snap(directory).files["ada.py"]
    assert (file.data, file.path, file.location) == (b"# caf\xe9\r\n", "ada.py", str(directory / "ada.py"))


def test_file_name_need_not_be_utf_8(directory: Path) -> None:
    """A file with a Latin-1 name is a character file like any other."""
    with open(os.fsencode(directory) + b"/caf\xe9.py", "wb") as file:
        file.write(b"X = 1")
    taken = snap(directory)
    assert taken.character_paths == ("ada.py", "caf\udce9.py")
    assert taken.disk_revision.startswith("sha256:")


def test_named_pipe_is_unreadable(directory: Path) -> None:
    """A named pipe is an error of that file, and is not opened for reading."""
    os.mkfifo(directory / "x.py")
    taken = snap(directory)
    assert "not a regular file" in str(taken.unreadable["x.py"])
    assert taken.character_paths == ("ada.py", "x.py")


def test_pipe_that_takes_the_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    """A file that was replaced by a pipe after the listing is refused without blocking."""
    os.mkfifo(tmp_path / "x.py")
    raised: list[str] = []

    def read() -> None:
        with pytest.raises(OSError, match="not a regular file") as caught:
            _read_regular(str(tmp_path / "x.py"), 10)
        raised.append(str(caught.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(60)
    assert raised


@pytest.mark.parametrize("target", ["nowhere", "x.py"], ids=["dangling", "loop"])
def test_link_to_nothing_is_unreadable(directory: Path, target: str) -> None:
    """A broken link, or one to itself, is an error of that file."""
    (directory / "x.py").symlink_to(target)
    assert list(snap(directory).unreadable) == ["x.py"]


def test_file_of_the_greatest_size_is_read_and_one_byte_more_is_not(directory: Path, write: Write) -> None:
    """A file over the limit is an error of that file, which names the limit and the setting."""
    write("fits.py", "#" * LIMITS.file_bytes)
    write("large.py", "#" * (LIMITS.file_bytes + 1))
    taken = snap(directory)
    assert "fits.py" in taken.files
    assert "65,536 bytes" in str(taken.unreadable["large.py"])
    assert "max_file_bytes" in str(taken.unreadable["large.py"])


def test_unreadable_helper_is_no_character(directory: Path) -> None:
    """A helper that cannot be read is not among the characters."""
    os.mkfifo(directory / "_helper.py")
    taken = snap(directory)
    assert (list(taken.unreadable), taken.character_paths) == (["_helper.py"], ("ada.py",))


def test_too_many_bytes_are_refused(directory: Path, write: Write) -> None:
    """The sizes of all files together are limited."""
    size = len(write("bob.py", "#" * 10_000).read_bytes()) + len((directory / "ada.py").read_bytes())
    assert len(snap(directory, limits=replace(LIMITS, bytes=size)).files) == 2
    with pytest.raises(DirectoryTooLarge, match=r"bytes of source \(max_bytes\)"):
        snap(directory, limits=replace(LIMITS, bytes=size - 1))


def test_disk_revision_is_that_of_the_content(directory: Path, tmp_path: Path) -> None:
    """Equal directories have equal disk revisions, at any place and time."""
    shutil.copytree(directory, tmp_path / "copy")
    assert snap(directory).disk_revision == snap(tmp_path / "copy").disk_revision


@pytest.mark.parametrize("change", ["edit", "rename", "add", "remove", "add unreadable"])
def test_disk_revision_changes_with_the_disk(directory: Path, write: Write, change: str) -> None:
    """Any other path, content or readability is another disk revision."""
    bob = write("bob.py", "X = 1")
    before = snap(directory).disk_revision
    changes: dict[str, Callable[[], object]] = {
        "edit": lambda: bob.write_text("X = 2"),
        "rename": lambda: bob.rename(directory / "bobby.py"),
        "add": lambda: write("_helper.py", ""),
        "remove": bob.unlink,
        "add unreadable": lambda: os.mkfifo(directory / "eve.py"),
    }
    changes[change]()
    assert snap(directory).disk_revision != before
