"""A snapshot reuses the bytes of an earlier one only if the file cannot have changed since."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from charhost.errors import DirectoryTooLarge
from charhost.loading import snapshot as snapshot_module
from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from tests.conftest import character
from tests.loading.helpers import LIMITS, snap
from tests.reload.helpers import Write

SECOND = 1_000_000_000


def test_reused_bytes_count_too(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on bytes includes files that are not read again."""
    read_seconds_after_write(monkeypatch, 3600)
    earlier = snap(directory)
    with pytest.raises(DirectoryTooLarge):
        snap(directory, earlier, replace(LIMITS, bytes=100))


def read_seconds_after_write(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Read the files as if they had been written that many seconds before."""
    clock = SimpleNamespace(time_ns=lambda: time.time_ns() + int(seconds * SECOND))
    monkeypatch.setattr(snapshot_module, "time", clock)


def pretend(earlier: Snapshot, data: bytes) -> Snapshot:
    """Replace the data of ada.py in *earlier*; in the next snapshot it shows that the file was not read again."""
    file = SourceFile("ada.py", earlier.files["ada.py"].location, data, b"")
    return replace(earlier, files={**earlier.files, "ada.py": file})


def was_reused(directory: Path, earlier: Snapshot) -> bool:
    return snap(directory, pretend(earlier, b"earlier")).files["ada.py"].data == b"earlier"


def test_settled_file_is_not_read_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are reused if the stat is equal and they were read long after the write."""
    read_seconds_after_write(monkeypatch, 3600)
    assert was_reused(directory, snap(directory))


@pytest.mark.parametrize(("seconds", "reused"), [(0, False), (1, False), (2.5, True)])
def test_bytes_read_soon_after_a_write_are_read_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, reused: bool
) -> None:
    """Bytes read within two seconds of a write are read again, although the stat is equal (promise 26)."""
    os.utime(directory / "ada.py", ns=(0, time.time_ns()))
    read_seconds_after_write(monkeypatch, seconds)
    assert was_reused(directory, snap(directory)) is reused


def test_old_mtime_alone_does_not_settle_a_file(directory: Path) -> None:
    """A new file with an old mtime, as from an archive, is read again because of its ctime."""
    os.utime(directory / "ada.py", ns=(0, 0))
    assert not was_reused(directory, snap(directory))


def test_mtime_in_the_future_is_never_settled(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a time in the future is read each time."""
    os.utime(directory / "ada.py", ns=(0, time.time_ns() + 7200 * SECOND))
    read_seconds_after_write(monkeypatch, 3600)
    assert not was_reused(directory, snap(directory))


def test_bytes_reused_once_can_be_reused_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are reused in any number of snapshots."""
    read_seconds_after_write(monkeypatch, 3600)
    assert was_reused(directory, snap(directory, snap(directory)))


def test_edits_that_keep_size_and_mtime_are_seen(directory: Path) -> None:
    """Twenty edits of one size and mtime are twenty different snapshots (promise 26)."""
    taken, seen = None, []
    for number in range(20):
        (directory / "ada.py").write_text(f"X = {number:02}")
        os.utime(directory / "ada.py", ns=(0, 0))
        taken = snap(directory, taken)
        seen.append(taken.files["ada.py"].data)
    assert seen == [f"X = {number:02}".encode() for number in range(20)]


def test_edit_with_restored_mtime_is_seen_much_later(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of a settled file with equal size and mtime is seen by its ctime."""
    os.utime(directory / "ada.py", ns=(0, 0))
    read_seconds_after_write(monkeypatch, 3600)
    earlier = snap(directory)
    before = (directory / "ada.py").stat()
    while (directory / "ada.py").stat().st_ctime_ns == before.st_ctime_ns:  # the file system's clock has to tick
        (directory / "ada.py").write_text(character("Eve"))
        os.utime(directory / "ada.py", ns=(0, 0))
    assert b"Eve" in snap(directory, earlier).files["ada.py"].data


def test_rewritten_content_is_the_same_file(directory: Path, write: Write) -> None:
    """A file rewritten with the same bytes is the same object, so its code is compiled once (promise 18)."""
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
    """No bytes are reused from a snapshot of another directory, even for the same inode."""
    read_seconds_after_write(monkeypatch, 3600)
    (tmp_path / "other").mkdir()
    os.link(directory / "ada.py", tmp_path / "other" / "ada.py")
    taken = snap(tmp_path / "other", snap(directory))
    assert taken.files["ada.py"].location == str(tmp_path / "other" / "ada.py")
