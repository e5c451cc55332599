"""The loading of one file gives a character or an error."""

from __future__ import annotations

import os
from pathlib import Path

from charhost.character.character import Character
from charhost.errors import LoadTimeout
from charhost.loading.module_space import Load, ModuleSpace, Version
from charhost.report import FileError
from tests.loading.helpers import snap
from tests.reload.helpers import Write


def load_of(directory: Path, path: str) -> Load:
    """Return the loading of one file of the directory."""
    snapshot = snap(directory)
    return Load(Version(ModuleSpace(snapshot), path), "sha256:1", 7)


def test_good_file_is_a_character(directory: Path) -> None:
    """A good file gives its character, with the fingerprint and generation of the load."""
    found = load_of(directory, "ada.py")()
    assert isinstance(found, Character)
    assert (found.name, found.fingerprint, found.generation) == ("Ada", "sha256:1", 7)


def test_file_that_raises_is_an_error(directory: Path, write: Write) -> None:
    """Also a `SystemExit` of the file is an error, and not raised."""
    write("bob.py", "X = 1\nraise SystemExit(3)")
    found = load_of(directory, "bob.py")()
    assert isinstance(found, FileError)
    assert (found.file, found.line, found.error_type) == ("bob.py", 2, "SystemExit")


def test_unreadable_file_is_an_error(directory: Path) -> None:
    """A file that the snapshot could not read is an error with the system's message."""
    os.mkfifo(directory / "bob.py")
    found = load_of(directory, "bob.py")()
    assert isinstance(found, FileError)
    assert (found.error_type, found.line) == ("OSError", None)
    assert "not a regular file" in found.message


def test_missed_deadline_is_an_error(directory: Path) -> None:
    """The timeout of a load becomes the error of its file, and other results are unchanged."""
    load = load_of(directory, "ada.py")
    late = load.result(LoadTimeout("not finished after 5 s"))
    assert isinstance(late, FileError)
    assert (late.file, late.error_type) == ("ada.py", "LoadTimeout")
    assert load.result(late) is late
