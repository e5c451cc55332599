"""The walk through a directory: hidden files, links, permissions and missing paths."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from charhost.errors import DirectoryNotFound, DirectoryTooLarge, NotADirectory
from tests.loading.helpers import LIMITS, snap
from tests.reload.helpers import Write


@pytest.mark.parametrize("path", [".ada.py", ".git/x.py", "a/.hidden/x.py", "__pycache__/x.py", "a/__pycache__/x.py"])
def test_hidden_files_and_folders_are_skipped(directory: Path, write: Write, path: str) -> None:
    """Dot-files, dot-folders and `__pycache__` are no part of a snapshot, at any depth."""
    write(path, "")
    assert list(snap(directory).files) == ["ada.py"]


@pytest.mark.parametrize("path", ["README.md", "ada.pyc", "ada.py~", "ada.py.swp", "py"])
def test_only_python_files_are_read(directory: Path, write: Write, path: str) -> None:
    """Only files that end in `.py` are part of a snapshot."""
    write(path, "")
    assert list(snap(directory).files) == ["ada.py"]


def test_linked_file_is_read_through_the_link(directory: Path, tmp_path: Path) -> None:
    """A link to a file elsewhere is a character file, as with mounted ConfigMaps."""
    (tmp_path / "elsewhere.txt").write_text("X = 1")
    (directory / "bob.py").symlink_to(tmp_path / "elsewhere.txt")
    assert snap(directory).files["bob.py"].data == b"X = 1"


def test_linked_folder_is_entered(directory: Path, tmp_path: Path) -> None:
    """The files of a linked folder have the name of the link."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "x.py").write_text("")
    (directory / "resources").symlink_to(tmp_path / "shared")
    assert "resources/x.py" in snap(directory).files


@pytest.mark.parametrize("target", [".", "..", "a", "../characters"])
def test_loop_of_linked_folders_ends(directory: Path, write: Write, target: str) -> None:
    """A link back to a folder is not entered again, so each file is in the snapshot once."""
    write("a/x.py", "")
    (directory / "a" / "again").symlink_to((directory / target).resolve())
    assert [path for path in snap(directory).files if path.endswith("x.py")] == ["a/x.py"]


@pytest.mark.parametrize("link", ["aaa", "zzz", "a/link", "z/link"])
def test_folder_goes_by_its_own_name_not_by_a_link_to_it(directory: Path, write: Write, link: str) -> None:
    """A folder that is also linked from elsewhere keeps its own name, in any order of the listing."""
    write("deep/resources/x.py", "")
    (directory / link).parent.mkdir(exist_ok=True)
    (directory / link).symlink_to(directory / "deep" / "resources")
    assert list(snap(directory).files) == ["ada.py", "deep/resources/x.py"]


def test_folder_linked_twice_is_entered_once(directory: Path, tmp_path: Path) -> None:
    """Of two links to one folder the first by name is entered."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "x.py").write_text("")
    for link in ("zzz", "aaa", "mmm"):
        (directory / link).symlink_to(tmp_path / "shared")
    assert list(snap(directory).files) == ["aaa/x.py", "ada.py"]


def test_directory_called_like_a_file_is_walked(directory: Path, write: Write) -> None:
    """A folder named x.py is neither a character nor an error."""
    write("x.py/helper.py", "")
    taken = snap(directory)
    assert (taken.character_paths, dict(taken.unreadable)) == (("ada.py",), {})
    assert "x.py/helper.py" in taken.files


def snap_without_privileges(directory: Path) -> str:
    """Take a snapshot in a process without root's rights, and return its output."""
    code = """if True:
        import sys
        from pathlib import Path
        from charhost.loading.snapshot import Limits, take_snapshot
        try:
            taken = take_snapshot(Path(sys.argv[1]), Limits(100, 1 << 20, 1 << 20))
            print(list(taken.files), {path: type(e).__name__ for path, e in taken.unreadable.items()})
        except Exception as e:
            print(type(e).__name__, e)
    """
    command = [sys.executable, "-c", code, str(directory)]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv") or pytest.skip("root without setpriv")
        command = [setpriv, "--bounding-set", "-dac_override,-dac_read_search", *command]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_file_without_permission_is_unreadable(directory: Path, write: Write) -> None:
    """A file without read permission is an error of that file; the others are read."""
    write("bob.py", "").chmod(0)
    assert snap_without_privileges(directory) == "['ada.py'] {'bob.py': 'PermissionError'}"


@pytest.mark.parametrize("place", [".", ".."], ids=["itself", "above"])
def test_directory_without_permission_is_not_readable(directory: Path, place: str) -> None:
    """A directory that may not be listed, or not be reached, is refused with the reason."""
    closed = (directory / place).resolve()
    closed.chmod(0)
    try:
        output = snap_without_privileges(directory)
    finally:
        closed.chmod(0o755)
    assert output == f"DirectoryNotReadable Directory not readable: {directory} (Permission denied)"


def test_folder_without_permission_is_passed_over(directory: Path, write: Write) -> None:
    """A folder that may not be listed is skipped, without an error."""
    write("resources/x.py", "")
    (directory / "resources").chmod(0)
    assert snap_without_privileges(directory) == "['ada.py'] {}"


@pytest.mark.parametrize("name", ["missing", "nul\0", "x" * 300])
def test_missing_directory_is_not_found(tmp_path: Path, name: str) -> None:
    """A missing or impossible path is not found."""
    with pytest.raises(DirectoryNotFound, match=r"^Directory not found: "):
        snap(tmp_path / name)


def test_file_is_not_a_directory(directory: Path) -> None:
    """A path to a file is refused as no directory."""
    with pytest.raises(NotADirectory, match=r"^Path is not a directory: .*ada\.py$"):
        snap(directory / "ada.py")


def test_path_below_a_file_is_not_found(directory: Path) -> None:
    """A path below a file is not found."""
    with pytest.raises(DirectoryNotFound):
        snap(directory / "ada.py" / "x")


def test_linked_directory_can_be_the_root(directory: Path, tmp_path: Path) -> None:
    """The directory may be a link, and its files have the requested name."""
    (tmp_path / "current").symlink_to(directory)
    taken = snap(tmp_path / "current")
    assert taken.files["ada.py"].location == str(tmp_path / "current" / "ada.py")


def test_too_many_files_are_refused(directory: Path, write: Write) -> None:
    """One file more than `max_files` refuses the whole directory, with its name and the setting."""
    write("bob.py", "")
    assert len(snap(directory, limits=replace(LIMITS, files=2)).files) == 2
    write("_helper.py", "")
    with pytest.raises(DirectoryTooLarge, match=r"characters holds more than 2 files .*max_files"):
        snap(directory, limits=replace(LIMITS, files=2))


def test_too_many_folders_are_refused(directory: Path) -> None:
    """Folders without a file count as well."""
    for number in range(5):
        (directory / f"d{number}").mkdir()
    with pytest.raises(DirectoryTooLarge, match="more than 3 files or folders"):
        snap(directory, limits=replace(LIMITS, files=3))
