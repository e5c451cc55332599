"""The table of mounts shows which directories send no events, and which files never change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from charhost.watch import mounts

Table = Callable[..., None]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """Replace the kernel's table: `table(("/", "ext4"), ("/srv", "nfs4"))`, in the order of mounting."""

    def mount(*entries: tuple[str, str]) -> None:
        lines = [
            f"{number} 1 0:{number} / {point} rw,relatime shared:{number} master:1 - {kind} source rw\n"
            for number, (point, kind) in enumerate(entries)
        ]
        file = tmp_path / "mountinfo"
        file.write_text("".join(lines))
        monkeypatch.setattr(mounts, "TABLE", file)

    return mount


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse", "fuse.sshfs", "fuse.x", "fuseblk", "drvfs"]
)
def test_remote_file_system_sends_no_events(table: Table, kind: str) -> None:
    """File systems of a network, of a host or in user space send no events."""
    table(("/", "ext4"), ("/srv", kind))
    assert not mounts.sends_events("/srv/characters")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "fusectl", "nfsd"])
def test_local_file_system_sends_events(table: Table, kind: str) -> None:
    """Local file systems send events, also a container's overlay and names that only look remote."""
    table(("/", kind))
    assert mounts.sends_events("/srv/characters")


@pytest.mark.parametrize(
    ("path", "sends"), [("/srv", False), ("/srv/a", False), ("/srv/fast/a", True), ("/srvx", True), ("/", True)]
)
def test_innermost_mount_decides(table: Table, path: str, sends: bool) -> None:
    """Of nested mounts the longest that contains the path counts, compared by path components."""
    table(("/", "ext4"), ("/srv", "nfs4"), ("/srv/fast", "tmpfs"))
    assert mounts.sends_events(path) is sends


def test_root_may_be_silent(table: Table) -> None:
    """A root file system that sends no events holds everything that is not mounted elsewhere."""
    table(("/", "9p"), ("/tmp", "tmpfs"))
    assert (mounts.sends_events("/srv/characters"), mounts.sends_events("/tmp/x")) == (False, True)


def test_later_mount_covers_an_earlier_one(table: Table) -> None:
    """Of two mounts at one point the one mounted last is seen."""
    table(("/", "ext4"), ("/srv", "nfs4"), ("/srv", "tmpfs"))
    assert mounts.sends_events("/srv/characters")
    table(("/", "ext4"), ("/srv", "tmpfs"), ("/srv", "nfs4"))
    assert not mounts.sends_events("/srv/characters")


def test_escaped_names_are_read(table: Table) -> None:
    """Spaces and backslashes in a mount point are written in octal."""
    table(("/", "ext4"), (r"/my\040files\134x", "nfs4"))
    assert (mounts.sends_events("/my files\\x/a"), mounts.sends_events("/my")) == (False, True)


def test_names_that_are_not_ascii_are_read(table: Table) -> None:
    """A mount point may contain any letters."""
    table(("/", "ext4"), ("/häuser", "nfs4"))
    assert not mounts.sends_events("/häuser/a")


def test_fields_that_are_optional_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of proc(5) has any number of fields before the hyphen, also none."""
    (tmp_path / "table").write_text("1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / /srv rw a:1 b:2 c:3 - nfs4 x rw\n")
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "table")
    assert (mounts.sends_events("/etc"), mounts.sends_events("/srv")) == (True, False)


def test_without_a_table_events_are_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems without the table, events are expected and no mounted file is known."""
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "missing")
    assert mounts.sends_events("/srv")
    assert mounts.mounted_files("/srv") == []


def test_own_table_can_be_read(tmp_path: Path) -> None:
    """The table of this machine can be read, and shows no mount below a new folder."""
    mounts.sends_events(str(tmp_path))
    assert mounts.mounted_files(str(tmp_path)) == []


def test_mounted_files_are_listed(table: Table, directory: Path) -> None:
    """Mounted files below the directory are listed; mounted folders and files elsewhere are not (W24)."""
    (directory / "folder").mkdir()
    (directory / "my file.py").touch()
    directory.with_name("characters2").mkdir()
    (directory.with_name("characters2") / "x.py").touch()
    points = [f"{directory}/ada.py", f"{directory}/my\\040file.py", f"{directory}/folder", f"{directory}2/x.py"]
    table(("/", "overlay"), *[(point, "ext4") for point in points])
    assert mounts.mounted_files(str(directory)) == [f"{directory}/ada.py", f"{directory}/my file.py"]
