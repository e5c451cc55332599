"""The notifier reports changes that may matter, and its own failure."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from charhost.watch.event_source import EventSource

PATIENCE = 180.0
SILENCE = 0.2


class Listener:
    """Collects the reports of a notifier: each change, and each error with whether events had been reported before."""

    def __init__(self, directory: Path) -> None:
        self.changes: queue.Queue[None] = queue.Queue()
        self.errors: queue.Queue[tuple[Exception, bool]] = queue.Queue()
        self.notifier = EventSource(
            directory, lambda: self.changes.put(None), lambda error, armed: self.errors.put((error, armed))
        )

    def reports_change(self) -> bool:
        """Wait for a report of a change."""
        self.changes.get(timeout=PATIENCE)
        return True

    def reports_nothing(self) -> bool:
        """Wait longer than an event takes; return whether no change was reported."""
        try:
            self.changes.get(timeout=SILENCE)
        except queue.Empty:
            return True
        return False


@contextmanager
def listening(directory: Path) -> Iterator[Listener]:
    listener = Listener(directory)
    try:
        listener.reports_change()  # armed
        yield listener
    finally:
        listener.notifier.close()


@pytest.fixture
def listener(directory: Path) -> Iterator[Listener]:
    """A notifier of the directory that is armed."""
    with listening(directory) as listener:
        yield listener


def test_arming_is_a_hint(directory: Path) -> None:
    """Arming is reported as a change, since changes before it have no event."""
    with listening(directory) as listener:
        assert listener.errors.empty()


def test_saved_file_is_reported(listener: Listener, directory: Path) -> None:
    """A write to a file is reported (W1)."""
    (directory / "ada.py").write_text("1")
    assert listener.reports_change()


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: (d / "ada.py").unlink(),
        lambda d: (d / "ada.py").rename(d / "eve.py"),
        lambda d: (d / "ada.py").rename(d / "ada.txt"),
        lambda d: (d / "folder").mkdir(),
        lambda d: (d / "..data").symlink_to(d),
        lambda d: d.rename(d.with_name("away")),
    ],
    ids=["deleted", "renamed", "renamed-away", "folder", "data-link", "moved-away"],
)
def test_any_change_that_may_matter_is_reported(
    listener: Listener, directory: Path, edit: Callable[[Path], object]
) -> None:
    """Deleted and renamed files, new folders, links to folders and a moved directory are reported (W3, W4, W8, W12)."""
    edit(directory)
    assert listener.reports_change()


def test_file_in_a_new_folder_is_reported(listener: Listener, directory: Path) -> None:
    """A file in a new folder is reported (W12)."""
    (directory / "folder").mkdir()
    listener.reports_change()
    while not listener.reports_nothing():
        pass
    (directory / "folder" / "x.py").write_text("1")
    assert listener.reports_change()


@pytest.mark.parametrize(
    "path", ["notes.txt", ".ada.py.swp", "__pycache__/ada.cpython-311.pyc", "__pycache__/x.py", ".git/x.py"]
)
def test_other_files_are_not_reported(directory: Path, path: str) -> None:
    """Other kinds of files, bytecode and git's own files are not reported (W17)."""
    (directory / path).parent.mkdir(exist_ok=True)
    with listening(directory) as listener:
        (directory / path).write_text("1")
        assert listener.reports_nothing()


def test_helper_with_a_name_like_bytecode_is_reported(listener: Listener, directory: Path) -> None:
    """A file is reported whose name begins with `__pycache__`; only the folder of that name is skipped."""
    (directory / "__pycache__helper.py").write_text("1")
    assert listener.reports_change()


def test_directory_below_a_folder_of_git_is_watched(tmp_path: Path) -> None:
    """A directory below a folder `.git` is watched: only folders inside the directory are skipped."""
    directory = tmp_path / ".git" / "worktree"
    directory.mkdir(parents=True)
    with listening(directory) as listener:
        (directory / "ada.py").write_text("1")
        assert listener.reports_change()


def test_switched_link_is_reported(tmp_path: Path) -> None:
    """The switch of the link that is the directory is reported (W6)."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("one")
    with listening(link) as listener:
        (tmp_path / "switch").symlink_to("two")
        (tmp_path / "switch").rename(link)
        assert listener.reports_change()


def test_changes_beside_the_directory_are_not_reported(listener: Listener, directory: Path) -> None:
    """Changes beside the directory are not reported."""
    (directory.parent / "other.py").write_text("1")
    (directory.parent / "folder").mkdir()
    assert listener.reports_nothing()


def test_missing_directory_is_reported(tmp_path: Path) -> None:
    """A missing directory is reported as an error before the first event (W9)."""
    listener = Listener(tmp_path / "missing")
    error, armed = listener.errors.get(timeout=PATIENCE)
    listener.notifier.close()
    assert (type(error), armed) == (FileNotFoundError, False)


def test_name_without_utf8_is_reported(listener: Listener, directory: Path) -> None:
    """A file name that watchfiles cannot decode ends the notifier with a report."""
    Path(os.fsdecode(os.fsencode(directory) + b"/caf\xe9.py")).write_text("1")
    error, armed = listener.errors.get(timeout=PATIENCE)
    assert (armed, "decode" in str(error)) == (True, True)


def test_closed_notifier_ends_its_threads(directory: Path) -> None:
    """After closing, both threads end without a report."""
    before = set(threading.enumerate())
    with listening(directory) as listener:
        threads = [thread for thread in threading.enumerate() if thread not in before]
        assert [thread.name for thread in threads] == ["charhost-event-source", "charhost-event-source"]
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert listener.errors.empty()
