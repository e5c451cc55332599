"""What a snapshot of a directory holds, and when bytes are read again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from charhost.errors import DirectoryNotFound, DirectoryTooLarge, NotADirectory
from charhost.loading import snapshot as snapshot_module
from charhost.loading.snapshot import Limits, Snapshot, _read_regular, take_snapshot
from charhost.loading.source_file import SourceFile
from tests.conftest import character

LIMITS = Limits(files=100, bytes=1 << 20, file_bytes=1 << 16)
SECOND = 1_000_000_000

Write = Callable[[str, str], Path]


def snap(directory: Path, earlier: Snapshot | None = None, limits: Limits = LIMITS) -> Snapshot:
    return take_snapshot(directory, limits, earlier)


# What is in it


def test_character_files_are_those_without_underscore(directory: Path, write: Write) -> None:
    """Files directly in the directory are characters unless their names start with `_`; the others are helpers."""
    for path in ("_shared.py", "__init__.py", "resources/x.py", "bob.py"):
        write(path, "")
    taken = snap(directory)
    assert taken.character_paths == ("ada.py", "bob.py")
    assert list(taken.files) == ["__init__.py", "_shared.py", "ada.py", "bob.py", "resources/x.py"]


@pytest.mark.parametrize("path", [".ada.py", ".git/x.py", "a/.hidden/x.py", "__pycache__/x.py", "a/__pycache__/x.py"])
def test_hidden_files_and_folders_are_skipped(directory: Path, write: Write, path: str) -> None:
    """Dot-files, dot-folders and `__pycache__` are no part of a snapshot, at any depth."""
    write(path, "")
    assert list(snap(directory).files) == ["ada.py"]


@pytest.mark.parametrize("path", ["README.md", "ada.pyc", "ada.py~", "ada.py.swp", "py"])
def test_only_python_files_are_read(directory: Path, write: Write, path: str) -> None:
    """What does not end in `.py` is no part of a snapshot."""
    write(path, "")
    assert list(snap(directory).files) == ["ada.py"]


def test_bytes_are_those_of_the_disk(directory: Path) -> None:
    """A file's data, path and location are what the disk has."""
    (directory / "ada.py").write_bytes(b"# caf\xe9\r\n")
    file = snap(directory).files["ada.py"]
    assert (file.data, file.path, file.location) == (b"# caf\xe9\r\n", "ada.py", str(directory / "ada.py"))


def test_linked_file_is_read_through_the_link(directory: Path, tmp_path: Path) -> None:
    """A link to a file elsewhere is a character file, as with mounted ConfigMaps."""
    (tmp_path / "elsewhere.txt").write_text("X = 1")
    (directory / "bob.py").symlink_to(tmp_path / "elsewhere.txt")
    assert snap(directory).files["bob.py"].data == b"X = 1"


def test_linked_folder_is_entered(directory: Path, tmp_path: Path) -> None:
    """The files of a linked folder are part of the snapshot under the name of the link."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "x.py").write_text("")
    (directory / "resources").symlink_to(tmp_path / "shared")
    assert "resources/x.py" in snap(directory).files


@pytest.mark.parametrize("target", [".", "..", "a", "../characters"])
def test_loop_of_linked_folders_ends(directory: Path, write: Write, target: str) -> None:
    """A link that leads back to a folder is not entered again, so each file is there once."""
    write("a/x.py", "")
    (directory / "a" / "again").symlink_to((directory / target).resolve())
    assert [path for path in snap(directory).files if path.endswith("x.py")] == ["a/x.py"]


@pytest.mark.parametrize("link", ["aaa", "zzz", "a/link", "z/link"])
def test_folder_goes_by_its_own_name_not_by_a_link_to_it(directory: Path, write: Write, link: str) -> None:
    """A folder that is also linked from elsewhere keeps its own name, in whatever order the disk lists them."""
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


def test_file_name_need_not_be_utf_8(directory: Path) -> None:
    """A file whose name is Latin-1 is a character file like any other."""
    with open(os.fsencode(directory) + b"/caf\xe9.py", "wb") as file:
        file.write(b"X = 1")
    taken = snap(directory)
    assert taken.character_paths == ("ada.py", "caf\udce9.py")
    assert taken.disk_revision.startswith("sha256:")


# What cannot be read


def test_named_pipe_is_unreadable(directory: Path) -> None:
    """A pipe called x.py is an error of that file; nobody waits for a writer."""
    os.mkfifo(directory / "x.py")
    taken = snap(directory)
    assert "not a regular file" in str(taken.unreadable["x.py"])
    assert taken.character_paths == ("ada.py", "x.py")


def test_pipe_that_takes_the_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    """A name that became a pipe after it was looked at is refused too, without waiting for a writer."""
    os.mkfifo(tmp_path / "x.py")
    raised: list[str] = []

    def read() -> None:
        with pytest.raises(OSError, match="not a regular file") as caught:
            _read_regular(str(tmp_path / "x.py"), 10)
        raised.append(str(caught.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert raised


def test_directory_called_like_a_file_is_walked(directory: Path, write: Write) -> None:
    """A folder called x.py is a folder: neither a character nor an error."""
    write("x.py/helper.py", "")
    taken = snap(directory)
    assert (taken.character_paths, dict(taken.unreadable)) == (("ada.py",), {})
    assert "x.py/helper.py" in taken.files


@pytest.mark.parametrize("target", ["nowhere", "x.py"], ids=["dangling", "loop"])
def test_link_to_nothing_is_unreadable(directory: Path, target: str) -> None:
    """A link that leads nowhere, or to itself, is an error of that file."""
    (directory / "x.py").symlink_to(target)
    assert list(snap(directory).unreadable) == ["x.py"]


def test_file_of_the_greatest_size_is_read_and_one_byte_more_is_not(directory: Path, write: Write) -> None:
    """A file over the limit is an error of that file, which says the limit and the setting."""
    write("fits.py", "#" * LIMITS.file_bytes)
    write("large.py", "#" * (LIMITS.file_bytes + 1))
    taken = snap(directory)
    assert "fits.py" in taken.files
    assert "65,536 bytes" in str(taken.unreadable["large.py"])
    assert "max_file_bytes" in str(taken.unreadable["large.py"])


def test_unreadable_helper_is_no_character(directory: Path) -> None:
    """What cannot be read is an error of a character only if it would be one."""
    os.mkfifo(directory / "_helper.py")
    taken = snap(directory)
    assert (list(taken.unreadable), taken.character_paths) == (["_helper.py"], ("ada.py",))


# Permissions, tried by a process that has no right to pass over them


def snap_as_anybody(directory: Path) -> str:
    """Take a snapshot in a process that file permissions hold for, even if this one is root's."""
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
    """A file that may not be read is an error of that file; the others are read."""
    write("bob.py", "").chmod(0)
    assert snap_as_anybody(directory) == "['ada.py'] {'bob.py': 'PermissionError'}"


@pytest.mark.parametrize("place", [".", ".."], ids=["itself", "above"])
def test_directory_without_permission_is_not_readable(directory: Path, place: str) -> None:
    """A directory that may not be listed, or not be reached, is refused with the reason."""
    closed = (directory / place).resolve()
    closed.chmod(0)
    try:
        said = snap_as_anybody(directory)
    finally:
        closed.chmod(0o755)
    assert said == f"DirectoryNotReadable Directory not readable: {directory} (Permission denied)"


def test_folder_without_permission_is_passed_over(directory: Path, write: Write) -> None:
    """A folder that may not be listed does not spoil the snapshot: who imports from it will say so."""
    write("resources/x.py", "")
    (directory / "resources").chmod(0)
    assert snap_as_anybody(directory) == "['ada.py'] {}"


# Directories that are none


@pytest.mark.parametrize("name", ["missing", "nul\0", "x" * 300])
def test_missing_directory_is_not_found(tmp_path: Path, name: str) -> None:
    """A path at which there is nothing, or can be nothing, is not found."""
    with pytest.raises(DirectoryNotFound, match=r"^Directory not found: "):
        snap(tmp_path / name)


def test_file_is_not_a_directory(directory: Path) -> None:
    """A path to a file is refused as such."""
    with pytest.raises(NotADirectory, match=r"^Path is not a directory: .*ada\.py$"):
        snap(directory / "ada.py")


def test_path_below_a_file_is_not_found(directory: Path) -> None:
    """A path that leads through a file leads to nothing."""
    with pytest.raises(DirectoryNotFound):
        snap(directory / "ada.py" / "x")


def test_linked_directory_can_be_the_root(directory: Path, tmp_path: Path) -> None:
    """The directory itself may be a link, and keeps the name it was asked for by."""
    (tmp_path / "current").symlink_to(directory)
    taken = snap(tmp_path / "current")
    assert taken.files["ada.py"].location == str(tmp_path / "current" / "ada.py")


# Limits


def test_too_many_files_are_refused(directory: Path, write: Write) -> None:
    """One file more than `max_files` refuses the whole directory, by name and with the setting."""
    write("bob.py", "")
    assert len(snap(directory, limits=replace(LIMITS, files=2)).files) == 2
    write("_helper.py", "")
    with pytest.raises(DirectoryTooLarge, match=r"characters holds more than 2 files .*max_files"):
        snap(directory, limits=replace(LIMITS, files=2))


def test_too_many_folders_are_refused(directory: Path) -> None:
    """Folders without a single file count too: walking them takes as long."""
    for number in range(5):
        (directory / f"d{number}").mkdir()
    with pytest.raises(DirectoryTooLarge, match="more than 3 files or folders"):
        snap(directory, limits=replace(LIMITS, files=3))


def test_too_many_bytes_are_refused(directory: Path, write: Write) -> None:
    """The sizes of all files together are limited."""
    size = len(write("bob.py", "#" * 10_000).read_bytes()) + len((directory / "ada.py").read_bytes())
    assert len(snap(directory, limits=replace(LIMITS, bytes=size)).files) == 2
    with pytest.raises(DirectoryTooLarge, match=r"bytes of source \(max_bytes\)"):
        snap(directory, limits=replace(LIMITS, bytes=size - 1))


def test_reused_bytes_count_too(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on bytes holds as well for files that are not read again."""
    read_seconds_after_write(monkeypatch, 3600)
    earlier = snap(directory)
    with pytest.raises(DirectoryTooLarge):
        snap(directory, earlier, replace(LIMITS, bytes=100))


# What is read again


def read_seconds_after_write(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Make the files look as if they had been written that long before they are read."""
    clock = SimpleNamespace(time_ns=lambda: time.time_ns() + int(seconds * SECOND))
    monkeypatch.setattr(snapshot_module, "time", clock)


def pretend(earlier: Snapshot, data: bytes) -> Snapshot:
    """Let *earlier* say that ada.py held *data*: found in the next snapshot, the file was not read again."""
    file = SourceFile("ada.py", earlier.files["ada.py"].location, data, b"")
    return replace(earlier, files={**earlier.files, "ada.py": file})


def was_reused(directory: Path, earlier: Snapshot) -> bool:
    return snap(directory, pretend(earlier, b"earlier")).files["ada.py"].data == b"earlier"


def test_settled_file_is_not_read_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are taken from the earlier snapshot when the stat is equal and they were read long after the write."""
    read_seconds_after_write(monkeypatch, 3600)
    assert was_reused(directory, snap(directory))


@pytest.mark.parametrize(("seconds", "reused"), [(0, False), (1, False), (2.5, True)])
def test_bytes_read_soon_after_a_write_are_read_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, reused: bool
) -> None:
    """Within two seconds of a write an equal stat proves nothing (promise 26)."""
    os.utime(directory / "ada.py", ns=(0, time.time_ns()))
    read_seconds_after_write(monkeypatch, seconds)
    assert was_reused(directory, snap(directory)) is reused


def test_old_mtime_alone_does_not_settle_a_file(directory: Path) -> None:
    """An unpacked archive sets old times on new files: the change time decides as well."""
    os.utime(directory / "ada.py", ns=(0, 0))
    assert not was_reused(directory, snap(directory))


def test_mtime_in_the_future_is_never_settled(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file from a machine whose clock is ahead is read each time."""
    os.utime(directory / "ada.py", ns=(0, time.time_ns() + 7200 * SECOND))
    read_seconds_after_write(monkeypatch, 3600)
    assert not was_reused(directory, snap(directory))


def test_bytes_reused_once_can_be_reused_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third snapshot of an unchanged directory reads as little as the second."""
    read_seconds_after_write(monkeypatch, 3600)
    assert was_reused(directory, snap(directory, snap(directory)))


def test_edits_that_keep_size_and_mtime_are_seen(directory: Path) -> None:
    """Twenty edits in a row, of one size and with the mtime set back, are twenty different snapshots (promise 26)."""
    taken, seen = None, []
    for number in range(20):
        (directory / "ada.py").write_text(f"X = {number:02}")
        os.utime(directory / "ada.py", ns=(0, 0))
        taken = snap(directory, taken)
        seen.append(taken.files["ada.py"].data)
    assert seen == [f"X = {number:02}".encode() for number in range(20)]


def test_edit_with_restored_mtime_is_seen_much_later(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of a settled file is seen although its size and mtime are as before, because its ctime is not."""
    os.utime(directory / "ada.py", ns=(0, 0))
    read_seconds_after_write(monkeypatch, 3600)
    earlier = snap(directory)
    before = (directory / "ada.py").stat()
    while (directory / "ada.py").stat().st_ctime_ns == before.st_ctime_ns:  # the file system's clock has to tick
        (directory / "ada.py").write_text(character("Eve"))
        os.utime(directory / "ada.py", ns=(0, 0))
    assert b"Eve" in snap(directory, earlier).files["ada.py"].data


def test_rewritten_content_is_the_same_file(directory: Path, write: Write) -> None:
    """A file rewritten with the bytes it had is the same object, so its code is compiled once (promise 18)."""
    earlier = snap(directory)
    (directory / "ada.py").unlink()
    write("ada.py", character("Ada"))
    assert snap(directory, earlier).files["ada.py"] is earlier.files["ada.py"]


def test_touched_file_is_the_same_file(directory: Path) -> None:
    """New times and permissions are no change (promise 18)."""
    earlier = snap(directory)
    (directory / "ada.py").touch()
    (directory / "ada.py").chmod(0o600)
    assert snap(directory, earlier).files["ada.py"] is earlier.files["ada.py"]


def test_nothing_is_taken_from_another_directory(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of another directory lends no bytes, even if the file has the same inode there."""
    read_seconds_after_write(monkeypatch, 3600)
    (tmp_path / "other").mkdir()
    os.link(directory / "ada.py", tmp_path / "other" / "ada.py")
    taken = snap(tmp_path / "other", snap(directory))
    assert taken.files["ada.py"].location == str(tmp_path / "other" / "ada.py")


# The disk revision


def test_disk_revision_is_that_of_the_content(directory: Path, tmp_path: Path) -> None:
    """Equal directories have equal disk revisions, wherever and whenever they were made."""
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


# Module names


def names(directory: Path) -> dict[str, str]:
    """The module name of each file, but for ada.py."""
    return {path: name for path, name in snap(directory).module_names.items() if path != "ada.py"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("bob.py", "bob"),
        ("_shared.py", "_shared"),
        ("resources/x.py", "resources.x"),
        ("resources/__init__.py", "resources"),
        ("__init__.py", ""),
        ("développeuse.py", "développeuse"),
        ("quiz-show.py", "_quiz_x2d_show"),
        ("my.char.py", "_my_x2e_char"),
        ("2nd.py", "_2nd"),
        ("my files/x.py", "_my_x20_files.x"),
        ("ﬁdo.py", "fido"),
    ],
)
def test_module_name(directory: Path, write: Write, path: str, name: str) -> None:
    """A module is called as an import statement would spell it; what no statement can spell is mangled."""
    write(path, "")
    assert names(directory) == {path: name}


def test_keyword_is_a_module_name(directory: Path, write: Write) -> None:
    """A file called class.py has a name, though only `importlib` can say it."""
    write("class.py", "")
    assert names(directory) == {"class.py": "class"}


def test_composed_and_decomposed_names_are_two_modules(directory: Path, write: Write) -> None:
    """Two files whose names Python takes for one have different module names; the composed one has the real one."""
    write("zoe\u0301.py", "")
    write("zo\u00e9.py", "")
    found = names(directory)
    assert found["zo\u00e9.py"] == "zo\u00e9"
    assert len(set(found.values())) == 2


def test_mangled_name_never_takes_a_real_one(directory: Path, write: Write) -> None:
    """A helper that is called what a mangled name would be keeps its name."""
    write("quiz-show.py", "")
    write("_quiz_x2d_show.py", "")
    found = names(directory)
    assert found["_quiz_x2d_show.py"] == "_quiz_x2d_show"
    assert len(set(found.values())) == 2


def test_package_wins_over_module_of_its_name(directory: Path, write: Write) -> None:
    """Beside x/__init__.py the file x.py has another module name, as Python itself prefers the package."""
    write("x.py", "")
    write("x/__init__.py", "")
    found = names(directory)
    assert found["x/__init__.py"] == "x"
    assert found["x.py"] != "x"


@pytest.mark.parametrize("inner", ["x/y.py", "x/y/__init__.py"])
def test_module_wins_over_folder_without_init(directory: Path, write: Write, inner: str) -> None:
    """Beside a folder x without `__init__.py` the file x.py is the module, as for Python itself."""
    write("x.py", "")
    write(inner, "")
    assert names(directory)["x.py"] == "x"
    assert not snap(directory).modules["x"].is_package


def test_folder_without_init_is_a_package_without_file(directory: Path, write: Write) -> None:
    """Folders need no `__init__.py` to be imported from."""
    write("a/b/c.py", "")
    modules = snap(directory).modules
    assert [(modules[name].is_package, modules[name].file) for name in ("a", "a.b")] == [(True, None)] * 2


def test_every_file_has_a_module_name_of_its_own(directory: Path, write: Write) -> None:
    """However alike file names are, no two files are one module."""
    for path in ("a-b.py", "a b.py", "a.b.py", "a/b.py", "a_b.py", "_a_b.py", "a-b/__init__.py", "a-b/b.py", "a.py"):
        write(path, "")
    found = names(directory)
    assert len(found) == 9
    assert len(set(found.values())) == 9
