"""What is no character is left alone, and is named with the reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.errors import SettingsError
from charhost.loading.allowed_roots import AllowedRoots
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot
from charhost.settings import Settings

Write = Callable[[str, str], Path]


def snapshot_of(directory: Path, *patterns: str) -> Snapshot:
    """What is read of a directory, leaving out *patterns* besides charhost's own."""
    return take_snapshot(directory, Limits.of(Settings(directory=directory, exclude=patterns)))


# Names under which a tool writes beside ada.py while it is edited, and a folder of packages.
EDITORS = ["flycheck_ada.py", "flymake_ada.py", "ada_flymake.py", "~$ada.py", "sub/flycheck_x.py"]
MERGES = ["ada_BACKUP_4711.py", "ada_BASE_4711.py", "ada_LOCAL_4711.py", "ada_REMOTE_4711.py"]
TEMPORARY = [*EDITORS, *MERGES]
FOLDERS = ["site-packages/x.py", "node_modules/node-gyp/gyp.py", "sub/site-packages/x.py"]


@pytest.mark.parametrize("path", [*TEMPORARY, *FOLDERS])
def test_what_tools_write_is_left_out(directory: Path, write: Write, path: str) -> None:
    """The files of checkers, locks and folders of packages are not read, at any depth."""
    write(path, "1 / 0")
    assert list(snapshot_of(directory).files) == ["ada.py"]


@pytest.mark.parametrize("name", [".#ada.py", ".ada.py", "._ada.py"])
def test_hidden_file_is_named(directory: Path, write: Write, name: str) -> None:
    """A file whose name starts with a dot, as Emacs' locks and macOS' forks do, is no character."""
    (directory / name).symlink_to("me@host.1234")
    assert snapshot_of(directory).left_out == {name: "its name starts with a dot"}


@pytest.mark.parametrize("name", ["ada.py~", "#ada.py#", "ada.py___jb_tmp___", "4913", ".ada.py.swp", ".git/x.py"])
def test_what_is_no_python_is_not_even_named(directory: Path, write: Write, name: str) -> None:
    """Backups, swap files and hidden folders are as little read, and no surprise."""
    write(name, "1 / 0")
    found = snapshot_of(directory)
    assert (list(found.files), found.left_out) == (["ada.py"], {})


@pytest.mark.parametrize("name", ["build", "dist", "venv", "env", "lib", "packages"])
def test_helper_package_may_have_any_name(directory: Path, write: Write, name: str) -> None:
    """A folder is not left out because others call an environment or a product like that."""
    write(f"{name}/x.py", "X = 1")
    assert f"{name}/x.py" in snapshot_of(directory).files


@pytest.mark.parametrize("name", ["venv", "env-3.11", "build"])
def test_environment_is_not_read(directory: Path, name: str) -> None:
    """A real environment is known by its marker, whatever its name, and counts for no limit."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory / name], check=True)
    packages = directory / name / "lib" / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    for number in range(30):
        (packages / f"m{number}.py").touch()
    found = take_snapshot(directory, Limits(files=20, bytes=1 << 20, file_bytes=1 << 20))
    assert list(found.files) == ["ada.py"]
    assert found.left_out == {f"{name}/": "an environment: it has pyvenv.cfg"}


@pytest.mark.parametrize(
    ("marker", "reason"),
    [("CACHEDIR.TAG", "a cache"), ("conda-meta/history", "an environment")],
    ids=["cache", "conda"],
)
def test_marked_folder_is_not_read(directory: Path, write: Write, marker: str, reason: str) -> None:
    """Folders of caches and of conda are known by theirs."""
    write(f"sub/data/{marker}", "")
    write("sub/data/x.py", "")
    assert snapshot_of(directory).left_out == {"sub/data/": f"{reason}: it has {marker.partition('/')[0]}"}


def test_marker_in_the_directory_itself_does_not_count(directory: Path, write: Write) -> None:
    """The directory that was asked for is read, also where an environment was made in it."""
    write("pyvenv.cfg", "")
    assert list(snapshot_of(directory).files) == ["ada.py"]


def test_file_with_the_name_of_a_marker_in_another_folder_does_not_count(directory: Path, write: Write) -> None:
    """Only the folder with the marker is left out, not its neighbours."""
    write("venv/pyvenv.cfg", "")
    write("resources/x.py", "")
    assert list(snapshot_of(directory).files) == ["ada.py", "resources/x.py"]


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("test_*.py", ["deep/test_b.py", "test_a.py"]),
        ("/test_*.py", ["test_a.py"]),
        ("drafts/", ["deep/drafts/", "drafts/"]),
        ("/drafts/", ["drafts/"]),
        ("deep/**/*.py", ["deep/drafts/y.py", "deep/test_b.py"]),
        ("d*", ["deep/", "drafts/"]),
        ("drafts/*\n!drafts/x.py", []),
        ("test_[!a].py", ["deep/test_b.py"]),
    ],
)
def test_patterns_are_those_of_gitignore(directory: Path, write: Write, pattern: str, left_out: list[str]) -> None:
    """The patterns of `--exclude` match what git would ignore, as git itself reports."""
    for path in ("test_a.py", "drafts/x.py", "deep/test_b.py", "deep/drafts/y.py"):
        write(path, "")
    found = snapshot_of(directory, *pattern.split("\n"))
    assert list(found.left_out) == left_out
    subprocess.run(["git", "init", "-q"], cwd=directory, check=True)
    (directory / ".git" / "info" / "exclude").write_text(pattern)
    listed = subprocess.run(
        ["git", "ls-files", "-o", "--exclude-standard"], cwd=directory, capture_output=True, text=True, check=True
    )
    assert list(found.files) == listed.stdout.split()


def test_reason_names_the_pattern(directory: Path, write: Write) -> None:
    """Each path that was left out has the pattern that did it, and whose that is."""
    write("drafts/x.py", "")
    write("flycheck_ada.py", "")
    assert snapshot_of(directory, "*.txt", "drafts/").left_out == {
        "drafts/": "matches drafts/ of --exclude",
        "flycheck_ada.py": "matches flycheck_*.py",
    }


def test_pattern_takes_back_one_of_charhosts(directory: Path, write: Write) -> None:
    """A pattern with `!` lets a file in that would be left out."""
    write("flycheck_me.py", "")
    assert list(snapshot_of(directory, "!flycheck_me.py").files) == ["ada.py", "flycheck_me.py"]


def test_link_out_of_the_roots_is_named(directory: Path, tmp_path: Path) -> None:
    """A linked folder that may not be read is left out with that reason, wherever it leads."""
    (tmp_path / "outside").mkdir()
    (directory / "inside").symlink_to(tmp_path / "outside")
    roots = AllowedRoots([directory], directory)
    found = take_snapshot(directory, Limits(files=9, bytes=1 << 20, file_bytes=1 << 20), roots=roots)
    assert found.left_out == {"inside/": "leads out of the allowed roots"}


# The setting


@pytest.mark.parametrize("value", ["a_*,b/", " a_* , b/ ,", ["a_*", "b/"], ["a_*,b/"]])
def test_patterns_are_split(value: str | list[str]) -> None:
    """The option may be repeated, and each, as the variable, may have several patterns with commas between them."""
    assert Settings.model_validate({"exclude": value}).exclude == ("a_*", "b/")


def test_pattern_that_is_none_is_refused() -> None:
    """A pattern that git would not understand is refused at the start."""
    with pytest.raises(SettingsError, match=r"--exclude.*\.gitignore.*: ! is none"):
        Settings.model_validate({"exclude": "x,!"})
