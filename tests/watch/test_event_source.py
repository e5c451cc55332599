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

PATIENCE = 10.0
SILENCE = 0.2


class Listener:
    """Collects the reports of a notifier: each change, and each error with whether events had been reported before."""

    def __init__(self, directory: Path) -> None:
        self.heard: queue.Queue[None] = queue.Queue()
        self.broken: queue.Queue[tuple[Exception, bool]] = queue.Queue()
        self.notifier = EventSource(
            directory, lambda: self.heard.put(None), lambda error, armed: self.broken.put((error, armed))
        )

    def hears(self) -> bool:
        """Wait until something is heard."""
        self.heard.get(timeout=PATIENCE)
        return True

    def hears_nothing(self) -> bool:
        """Wait longer than an event takes, and say whether there was none."""
        try:
            self.heard.get(timeout=SILENCE)
        except queue.Empty:
            return True
        return False


@contextmanager
def listening(directory: Path) -> Iterator[Listener]:
    listener = Listener(directory)
    try:
        listener.hears()  # armed
        yield listener
    finally:
        listener.notifier.close()


@pytest.fixture
def listener(directory: Path) -> Iterator[Listener]:
    """A notifier of the directory that is armed."""
    with listening(directory) as listener:
        yield listener


def test_arming_is_a_hint(directory: Path) -> None:
    """Once armed, a change is reported: an earlier one would be missed."""
    with listening(directory) as listener:
        assert listener.broken.empty()


def test_saved_file_is_heard(listener: Listener, directory: Path) -> None:
    """A write to a file is heard (W1)."""
    (directory / "ada.py").write_text("1")
    assert listener.hears()


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
def test_any_change_of_what_counts_is_heard(
    listener: Listener, directory: Path, edit: Callable[[Path], object]
) -> None:
    """Files that come and go, folders and links to folders are heard (W3, W4, W8, W12)."""
    edit(directory)
    assert listener.hears()


def test_file_in_a_new_folder_is_heard(listener: Listener, directory: Path) -> None:
    """Changes in a folder made a moment ago are reported as well (W12)."""
    (directory / "folder").mkdir()
    listener.hears()
    while not listener.hears_nothing():
        pass
    (directory / "folder" / "x.py").write_text("1")
    assert listener.hears()


@pytest.mark.parametrize(
    "path", ["notes.txt", ".ada.py.swp", "__pycache__/ada.cpython-311.pyc", "__pycache__/x.py", ".git/x.py"]
)
def test_other_files_are_not_heard(directory: Path, path: str) -> None:
    """Other kinds of files, bytecode and git's own files are not reported (W17)."""
    (directory / path).parent.mkdir(exist_ok=True)
    with listening(directory) as listener:
        (directory / path).write_text("1")
        assert listener.hears_nothing()


def test_helper_whose_name_begins_like_bytecode_is_heard(listener: Listener, directory: Path) -> None:
    """Only the folder `__pycache__` is skipped, not a file with such a name."""
    (directory / "__pycache__helper.py").write_text("1")
    assert listener.hears()


def test_directory_below_a_folder_of_git_is_heard(tmp_path: Path) -> None:
    """Only folders below the directory are skipped, not those above it."""
    directory = tmp_path / ".git" / "worktree"
    directory.mkdir(parents=True)
    with listening(directory) as listener:
        (directory / "ada.py").write_text("1")
        assert listener.hears()


def test_switched_link_is_heard(tmp_path: Path) -> None:
    """The directory is a link that is switched in the folder above (W6)."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("one")
    with listening(link) as listener:
        (tmp_path / "switch").symlink_to("two")
        (tmp_path / "switch").rename(link)
        assert listener.hears()


def test_neighbours_are_not_heard(listener: Listener, directory: Path) -> None:
    """Changes beside the directory are not reported."""
    (directory.parent / "other.py").write_text("1")
    (directory.parent / "folder").mkdir()
    assert listener.hears_nothing()


def test_missing_directory_is_reported(tmp_path: Path) -> None:
    """A notifier that cannot be armed reports that it failed before its first event (W9)."""
    listener = Listener(tmp_path / "missing")
    error, armed = listener.broken.get(timeout=PATIENCE)
    listener.notifier.close()
    assert (type(error), armed) == (FileNotFoundError, False)


def test_name_without_utf8_is_reported(listener: Listener, directory: Path) -> None:
    """A file name that watchfiles cannot decode ends the notifier, which reports it."""
    Path(os.fsdecode(os.fsencode(directory) + b"/caf\xe9.py")).write_text("1")
    error, armed = listener.broken.get(timeout=PATIENCE)
    assert (armed, "decode" in str(error)) == (True, True)


def test_closed_notifier_ends_its_threads(directory: Path) -> None:
    """Closing is soon followed by the end of both threads, without a report."""
    before = set(threading.enumerate())
    with listening(directory) as listener:
        threads = [thread for thread in threading.enumerate() if thread not in before]
        assert [thread.name for thread in threads] == ["charhost-event-source", "charhost-event-source"]
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert listener.broken.empty()
