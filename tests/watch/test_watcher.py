"""The set follows the directory, however it is edited, or `watcher_up` says that it does not."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from watchfiles import watch

from charhost.errors import ReloadRejected
from charhost.loading import snapshot
from charhost.loading.fingerprint import fingerprints
from charhost.loading.snapshot import Limits, Snapshot, take_snapshot
from charhost.metrics import Metrics
from charhost.reload.attempt import FromHistory
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest, RollbackRequest
from charhost.report import ReloadReport
from charhost.settings import Settings
from charhost.text import display
from charhost.watch import event_source, watcher
from charhost.watch.watcher import Watcher
from tests.conftest import character, prompt
from tests.reload.helpers import Gate

PATIENCE = 20.0
LIMITS = Limits(files=20_000, bytes=64 << 20, file_bytes=1 << 20)

Edit = Callable[[Path], object]
Write = Callable[[str, str], Path]


def using(name: str, helper: str) -> str:
    """The source of a character whose text is `WORDS` of a helper, or "nothing" while there is no such helper."""
    attempt = f"try:\n    from characters.{helper} import WORDS\nexcept ImportError:\n    WORDS = 'nothing'\n"
    return f"{attempt}{character(name)}\nINSTRUCTIONS = {{'text': WORDS}}\n"


def on_disk(directory: Path) -> dict[str, str]:
    """What a directory of files that all load has to be served as: a fingerprint for each file."""
    found = fingerprints(take_snapshot(directory, LIMITS))
    return {display(path): fingerprint for path, fingerprint in found.items()}


async def eventually(fact: Callable[[], object]) -> None:
    """Wait for something that no report tells of."""
    async with asyncio.timeout(PATIENCE):
        while not fact():
            await asyncio.sleep(0.005)


class Watched:
    """A manager with a running watcher, and the reports of the reloads since it began to watch."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.directory = directory
        self.metrics = Metrics()
        self.manager = CharacterManager(settings, self.metrics)
        self.watcher = Watcher(self.manager, settings, self.metrics)
        self.reports: asyncio.Queue[ReloadReport] = asyncio.Queue()

    def served(self) -> dict[str, str]:
        """The fingerprint of each file that is served."""
        return {one.file: one.fingerprint for one in self.manager.current.values()}

    def value(self, name: str, **labels: str) -> float:
        """What a metric of the watcher says."""
        return self.metrics.registry.get_sample_value(f"charhost_{name}", labels) or 0.0

    def compared(self, result: str = "unchanged") -> float:
        """How many comparisons have ended like that."""
        return self.value("watcher_reconciles_total", result=result)

    async def report(self) -> ReloadReport:
        """Wait for the next reload."""
        return await asyncio.wait_for(self.reports.get(), PATIENCE)

    async def equal(self, directory: Path | None = None) -> None:
        """Wait until the set is what the disk holds."""
        directory = directory or self.directory
        async with asyncio.timeout(PATIENCE):
            while (self.manager.current.directory, self.served()) != (str(directory), on_disk(directory)):
                await self.reports.get()

    async def listening(self) -> None:
        """Wait until events arrive."""
        await eventually(lambda: self.watcher.status.up and self.watcher.status.last_event)
        unchanged = self.compared()
        (self.directory / "notes.txt").unlink(missing_ok=True)
        os.utime(self.directory / "ada.py")
        await eventually(lambda: self.compared() > unchanged)


@asynccontextmanager
async def watching(directory: Path, **options: Any) -> AsyncIterator[Watched]:
    """Watch *directory* while the block runs, as the application does."""
    watched = Watched(directory, Settings(directory=directory, watch=True, **options))
    with suppress(ReloadRejected):
        await watched.manager.reload_characters(trigger="startup")
    watched.manager.listen(watched.reports.put_nowait)
    task = asyncio.create_task(watched.watcher.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def directory(directory: Path) -> Path:
    """Ada, Bob with a helper, and Carl, who looks for helpers that are not there."""
    (directory / "resources").mkdir()
    (directory / "resources" / "tone.py").write_text("WORDS = 'gentle'\n")
    (directory / "bob.py").write_text(using("Bob", "resources.tone"))
    (directory / "carl.py").write_text(using("Carl", "extra.deep.tone"))
    return directory


@pytest.fixture
async def watched(directory: Path) -> AsyncIterator[Watched]:
    """A watcher with the default settings, which hears."""
    async with watching(directory) as watched:
        await watched.listening()
        yield watched


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is ever heard, as after an overflow of the kernel's queue."""

    class Deaf:
        def __init__(self, *args: object) -> None: ...
        def close(self) -> None: ...

    monkeypatch.setattr(watcher, "EventSource", Deaf)
    monkeypatch.setattr(watcher, "_TICK", 0.05)


# How editors and tools save: each leaves the disk different from what was served.


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


@pytest.mark.parametrize("edit", EDITS)
async def test_set_follows_what_events_tell(watched: Watched, edit: Edit) -> None:
    """Events lead to the set that the disk holds, twice in a row (promise 21)."""
    edit(watched.directory)
    await watched.equal()
    (watched.directory / "ada.py").write_text(character("Ada", "Later."))
    await watched.equal()
    assert prompt(watched.manager) == "Later."


@pytest.mark.parametrize("edit", EDITS)
async def test_set_follows_without_events(directory: Path, monkeypatch: pytest.MonkeyPatch, edit: Edit) -> None:
    """With `watch_poll` the watcher looks by itself, and sees the same (promise 21)."""
    monkeypatch.setattr(watcher, "_POLL", 0.02)
    async with watching(directory, watch_poll=True) as watched:
        await eventually(lambda: watched.watcher.status.up)
        edit(directory)
        await watched.equal()
        assert (watched.watcher.status.mode, watched.watcher.status.last_event) == ("poll", None)


async def test_nested_folders_made_quickly_are_found_each_time(watched: Watched) -> None:
    """A file in folders that were made a moment ago is seen, time after time (W12)."""
    for number in range(5):
        shutil.rmtree(watched.directory / "extra", ignore_errors=True)
        (watched.directory / "extra" / "deep").mkdir(parents=True)
        (watched.directory / "extra" / "deep" / "tone.py").write_text(f"WORDS = 'deep {number}'\n")
        await watched.equal()
        assert prompt(watched.manager, "Carl") == f"deep {number}"


# Files and links that stand for others.


async def test_switched_data_link_is_followed(directory: Path) -> None:
    """Kubernetes swaps `..data`, again and again: each version is served (W4, W5)."""
    for path in list(directory.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    switch_data(directory, 0)
    (directory / "ada.py").symlink_to("..data/ada.py")
    async with watching(directory) as watched:
        await watched.listening()
        for version in range(1, 4):
            switch_data(directory, version)
            await watched.equal()
            assert prompt(watched.manager) == f"Version {version}."


def switch_data(directory: Path, version: int) -> None:
    """Do as the kubelet: write the new folder, swap the link in one step, remove the old folder."""
    folder = directory / f"..2026_{version}"
    folder.mkdir()
    (folder / "ada.py").write_text(character("Ada", f"Version {version}."))
    (directory / "..data_tmp").symlink_to(folder.name)
    (directory / "..data_tmp").rename(directory / "..data")
    shutil.rmtree(directory / f"..2026_{version - 1}", ignore_errors=True)


def releases(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A link to the first of three releases, whose files all have the same size and times."""
    folders = [tmp_path / f"release-{number}" for number in range(3)]
    for number, folder in enumerate(folders):
        (folder / "characters").mkdir(parents=True)
        (folder / "characters" / "ada.py").write_text(character("Ada", f"Release {number}."))
        for path in [folder / "characters" / "ada.py", folder / "characters", folder]:
            os.utime(path, (1_000_000_000, 1_000_000_000))
    link = tmp_path / "current"
    link.symlink_to(folders[0])
    return link, folders


def point(link: Path, target: Path) -> None:
    """Switch a link in one step, as `ln -sfn` and git-sync do."""
    temporary = link.with_name("switch")
    temporary.symlink_to(target)
    temporary.rename(link)


async def test_switched_link_is_followed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is a link that is switched to another release: events tell, whatever the times of files (W6)."""
    monkeypatch.setattr(watcher, "_TICK", 60)
    link, folders = releases(tmp_path)
    for folder in folders:
        (folder / "ada.py").write_text((folder / "characters" / "ada.py").read_text())
    async with watching(link) as watched:
        await watched.listening()
        for number in (1, 2, 0):
            point(link, folders[number])
            await watched.equal()
            assert prompt(watched.manager) == f"Release {number}."


async def test_edit_behind_a_switched_link_is_heard(tmp_path: Path) -> None:
    """After the switch it is the new target that is listened to (W6)."""
    link, folders = releases(tmp_path)
    async with watching(link / "characters") as watched:
        await eventually(lambda: watched.watcher.status.last_event)
        point(link, folders[1])
        await watched.equal()
        for text in ("Once.", "Twice."):
            (folders[1] / "characters" / "ada.py").write_text(character("Ada", text))
            await watched.equal()
        assert (prompt(watched.manager), watched.compared("drift")) == ("Twice.", 0)


async def test_link_above_the_directory_is_followed(tmp_path: Path) -> None:
    """A switched link further up is found without an event, by where the directory really is (W6)."""
    link, folders = releases(tmp_path)
    async with watching(link / "characters") as watched:
        await eventually(lambda: watched.watcher.status.last_event)
        point(link, folders[1])
        await watched.equal()
        assert prompt(watched.manager) == "Release 1."


async def test_target_of_a_linked_file_is_compared(tmp_path: Path, directory: Path) -> None:
    """A file outside that a link leads to sends no events, so the timer finds its edits (W10)."""
    target = tmp_path / "shared.py"
    target.write_text(character("Eve", "One."))
    (directory / "eve.py").symlink_to(target)
    async with watching(directory, watch_interval=0.3) as watched:
        await watched.listening()
        target.write_text(character("Eve", "Two."))
        await watched.equal()
        assert prompt(watched.manager, "Eve") == "Two."


async def test_linked_folder_is_heard(tmp_path: Path, directory: Path) -> None:
    """Edits of helpers in a linked folder are heard (W11)."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "tone.py").write_text("WORDS = 'one'\n")
    (directory / "linked").symlink_to(shared)
    (directory / "bob.py").write_text(using("Bob", "linked.tone"))
    async with watching(directory) as watched:
        await watched.listening()
        (shared / "tone.py").write_text("WORDS = 'two'\n")
        await watched.equal()
        assert (prompt(watched.manager, "Bob"), watched.compared("drift")) == ("two", 0)


# The directory itself.


async def test_missing_directory_is_watched_once_it_is_there(directory: Path) -> None:
    """A directory that is missing at the start is found when it appears, and heard from then on (W9)."""
    directory.rename(directory.with_name("later"))
    async with watching(directory) as watched:
        await eventually(lambda: watched.value("watcher_up") == 0 and watched.watcher.status.up is False)
        directory.with_name("later").rename(directory)
        await watched.equal()
        write_in_place(directory)
        await watched.equal()
        assert watched.value("watcher_up") == 1


async def test_vanished_directory_is_said_to_be_so(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """While the directory is gone `watcher_up` is 0, the log says why, and the set serves on (promises 11, 21)."""
    before = watched.manager.current
    watched.directory.rename(watched.directory.with_name("away"))
    await eventually(lambda: watched.value("watcher_up") == 0)
    assert (watched.watcher.status.up, watched.manager.current) == (False, before)
    assert (
        f"not watching the character directory: [Errno 2] No such file or directory: '{watched.directory}'"
        in caplog.text
    )


async def test_missing_directory_is_not_complained_about_again_and_again(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says that the directory is gone, and one that it is watched again (promise 21)."""
    caplog.set_level(logging.INFO, "charhost.watch")
    watched.directory.rename(watched.directory.with_name("away"))
    await eventually(lambda: watched.value("watcher_up") == 0)
    await asyncio.sleep(0.2)  # several attempts
    watched.directory.with_name("away").rename(watched.directory)
    await eventually(lambda: watched.value("watcher_up") == 1)
    lines = [record.getMessage().split(":")[0] for record in caplog.records if record.name == "charhost.watch"]
    assert lines == [
        "not watching the character directory",
        f"watching the character directory {watched.directory}",
    ]


async def test_directory_made_again_in_one_breath_is_heard(watched: Watched) -> None:
    """A new directory in the place of the old one is listened to, even if it got the same inode (W7)."""
    copy = watched.directory.with_name("copy")
    shutil.copytree(watched.directory, copy)
    for number in range(8):
        (copy / "ada.py").write_text(character("Ada", f"Copy {number}."))
        shutil.rmtree(watched.directory)
        shutil.copytree(copy, watched.directory)
        await watched.equal()
        (watched.directory / "bob.py").write_text(character("Bob", f"Edit {number}."))
        await watched.equal()


async def test_emptied_directory_leaves_the_set(watched: Watched) -> None:
    """A directory without characters is refused, and served again when its files are back (promises 11, 22)."""
    away = watched.directory.with_name("away")
    away.mkdir()
    for file in watched.directory.glob("*.py"):
        file.rename(away / file.name)
    while (await watched.report()).total_files:
        pass
    assert len(watched.manager.current) == 3
    for file in away.iterdir():
        file.rename(watched.directory / file.name)
    await eventually(lambda: watched.manager.last_error is None)
    assert watched.served() == on_disk(watched.directory)


async def test_directory_of_another_reload_is_watched(watched: Watched, tmp_path: Path) -> None:
    """After a reload from another directory that one is watched, and no longer the first."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "eve.py").write_text(character("Eve", "One."))
    await watched.manager.reload_characters(ReloadRequest(directory=str(other)))
    for text in ("Two.", "Three."):
        write_in_place(watched.directory)
        (other / "eve.py").write_text(character("Eve", text))
        await watched.equal(other)
    assert prompt(watched.manager, "Eve") == "Three."


async def test_directory_that_is_returned_to_is_watched(watched: Watched, tmp_path: Path) -> None:
    """A manual reload back to the first directory takes the watcher along, with what was edited meanwhile."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "eve.py").write_text(character("Eve"))
    await watched.manager.reload_characters(ReloadRequest(directory=str(other)))
    write_in_place(watched.directory)
    await watched.manager.reload_characters(ReloadRequest(directory="default"))
    add_file(watched.directory)
    await watched.equal()


# What is no change.


@pytest.mark.parametrize(
    "noise",
    [
        lambda file: os.utime(file),
        lambda file: file.chmod(0o640),
        lambda file: file.write_text(file.read_text()),
        lambda file: shutil.copy(file, file.with_name("copy.tmp")) and file.with_name("copy.tmp").replace(file),
    ],
    ids=["touch", "chmod", "same-bytes", "same-bytes-renamed"],
)
async def test_same_content_is_no_change(watched: Watched, noise: Edit) -> None:
    """Without new content there is a comparison, and neither a reload nor a new set (promise 18, W15)."""
    before, compared = watched.manager.current, watched.compared()
    noise(watched.directory / "ada.py")
    await eventually(lambda: watched.compared() > compared)
    assert (watched.manager.current, watched.reports.qsize()) == (before, 0)


def make_bytecode(directory: Path) -> None:
    (directory / "__pycache__").mkdir()
    for number in range(20):
        (directory / "__pycache__" / f"ada{number}.cpython-311.pyc").write_bytes(b"code")


def read_all(directory: Path) -> None:
    for path in directory.rglob("*.py"):
        path.read_bytes()


def write_notes(directory: Path) -> None:
    for number in range(20):
        (directory / "notes.txt").write_text(str(number))


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(read_all, id="W16-read"),
        pytest.param(make_bytecode, id="W17-bytecode"),
        pytest.param(write_notes, id="other-file"),
    ],
)
async def test_what_cannot_be_a_character_is_not_even_looked_at(watched: Watched, noise: Edit) -> None:
    """Reading, bytecode and files of other kinds lead to no comparison (W16, W17)."""
    await asyncio.sleep(0.1)  # what came before has been heard
    compared = watched.compared()
    noise(watched.directory)
    await asyncio.sleep(0.2)  # ten times as long as an event takes
    assert (watched.compared(), watched.reports.qsize()) == (compared, 0)


async def test_own_reload_is_not_reloaded(watched: Watched) -> None:
    """A reload by hand of what was just saved is the only one: the watcher learns what it has loaded."""
    compared = watched.compared()
    await watched.manager.reload_characters()
    write_in_place(watched.directory)
    await watched.manager.reload_characters()
    await eventually(lambda: watched.compared() > compared)
    await asyncio.sleep(0.1)
    assert [watched.reports.get_nowait().trigger for _ in range(watched.reports.qsize())].count("watch") <= 1
    assert watched.served() == on_disk(watched.directory)


# Files that are wrong for a while.


async def test_bad_save_keeps_the_last_good_version(watched: Watched) -> None:
    """A file that does not load leaves its last good version, and the report says what is wrong (promises 22, 23)."""
    before = watched.manager.current["Ada"]
    (watched.directory / "ada.py").write_text("def broken(:\n")
    report = await watched.report()
    assert (report.trigger, report.scope, report.outcome) == ("watch", "changed", "unchanged")
    assert [(e.file, e.line, e.error_type) for e in report.errors] == [("ada.py", 1, "SyntaxError")]
    assert (watched.manager.current["Ada"], watched.value("last_reload_successful")) == (before, 0)


async def test_next_good_save_heals(watched: Watched) -> None:
    """After bad, bad and good saves the good one serves, the metric is 1 and the error is gone (promises 20, 22)."""
    for text in ("def broken(:\n", "raise SystemExit(3)\n"):
        (watched.directory / "ada.py").write_text(text)
        await watched.report()
        assert watched.manager.last_error is not None
    write_in_place(watched.directory)
    await watched.equal()
    assert (watched.manager.last_error, watched.value("last_reload_successful")) == (None, 1)


async def test_taking_a_bad_save_back_heals(watched: Watched) -> None:
    """A, bad, A ends as it began: no swap, the metric at 1 and no error (promise 20)."""
    before, good = watched.manager.current, (watched.directory / "ada.py").read_text()
    (watched.directory / "ada.py").write_text("def broken(:\n")
    await watched.report()
    (watched.directory / "ada.py").write_text(good)
    await watched.report()
    assert watched.manager.current is before
    assert (watched.manager.last_error, watched.value("last_reload_successful")) == (None, 1)


async def test_new_file_that_fails_does_not_hold_others_up(watched: Watched) -> None:
    """A broken file beside it does not keep a good save from being served (promise 22)."""
    (watched.directory / "wrong.py").write_text("1 / 0\n")
    await watched.report()
    write_in_place(watched.directory)
    report = await watched.report()
    assert (report.changes.modified, [e.file for e in report.errors]) == (("Ada",), ["wrong.py"])


async def test_half_written_file_is_replaced_by_the_finished_one(watched: Watched) -> None:
    """The first half of a file leaves the last good version; when the rest follows it is served (promise 23, W20)."""
    before = prompt(watched.manager)
    source = character("Ada", "Whole.")
    with (watched.directory / "ada.py").open("w") as file:
        file.write(source[:40])
        file.flush()
        await watched.report()
        assert prompt(watched.manager) == before
        file.write(source[40:])
    await watched.equal()
    assert (prompt(watched.manager), watched.manager.last_error) == ("Whole.", None)


# Many changes.


async def test_saves_in_quick_succession_are_one_reload(directory: Path) -> None:
    """Writes less than `watch_quiet` apart are one reload, of the last of them (promise 23)."""
    async with watching(directory, watch_quiet=0.6) as watched:
        await watched.listening()
        for number in range(10):
            (directory / "ada.py").write_text(character("Ada", f"Save {number}."))
            await asyncio.sleep(0.02)
        await watched.equal()
        await asyncio.sleep(0.1)
        assert (watched.reports.qsize(), prompt(watched.manager)) == (0, "Save 9.")
        assert watched.manager.current.generation == 2


async def test_each_save_is_at_most_one_reload(watched: Watched) -> None:
    """Saves one after the other are each served, and none twice (W18)."""
    for number in range(5):
        (watched.directory / f"new{number}.py").write_text(character(f"New {number}"))
        await watched.equal()
    await asyncio.sleep(0.1)
    assert watched.manager.current.generation <= 6


@contextmanager
def rewriting(file: Path) -> Iterator[None]:
    """Rewrite *file* every 10 ms while the block runs."""
    stop = threading.Event()

    def rewrite() -> None:
        number = 0
        while not stop.wait(0.01):
            number += 1
            temporary = file.with_name(".temporary")
            temporary.write_text(character("Ada", f"Save {number}."))
            temporary.replace(file)

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def test_file_that_never_stands_still_is_loaded_all_the_same(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is rewritten every 10 ms is loaded at the ceiling, which is 5 s, and ends as on the disk (W19)."""
    assert watcher.LONGEST_QUIET == 5
    monkeypatch.setattr(watcher, "LONGEST_QUIET", 1.0)
    async with watching(directory, watch_quiet=0.5) as watched:
        await watched.listening()
        began = asyncio.get_running_loop().time()
        with rewriting(directory / "ada.py"):
            await watched.report()
            assert asyncio.get_running_loop().time() - began > 0.9
        await watched.equal()


async def test_thousands_of_files_at_once_are_all_served(watched: Watched) -> None:
    """6,000 files that are made in a burst are served, and gone again when they are removed (W22)."""
    names = [watched.directory / f"{'' if number % 20 == 0 else '_'}burst{number}.py" for number in range(6_000)]
    for number, name in enumerate(names):
        name.write_text(character(f"Burst {number}"))
    await watched.equal()
    assert len(watched.manager.current) == 303
    for name in names:
        name.unlink()
    await watched.equal()
    assert len(watched.manager.current) == 3


async def test_older_look_never_has_the_last_word(tmp_path: Path, watched: Watched, write: Write) -> None:
    """What the watcher saw before another reload does not take the place of what that one loaded (promise 21)."""
    gate = tmp_path / "gate"
    write("slow.py", f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.005)\n")
    running = [
        asyncio.create_task(watched.manager.reload_characters(ReloadRequest(reason=reason)))
        for reason in ("one", "two")
    ]
    await eventually(lambda: watched.manager.running and not watched.manager.running.build.executed)
    compared = watched.watcher.status.last_comparison
    write("ada.py", character("Ada", "Seen by the watcher."))
    await eventually(lambda: watched.watcher.status.last_comparison != compared)
    write("ada.py", character("Ada", "The newest."))
    (watched.directory / "slow.py").unlink()
    gate.touch()
    await asyncio.gather(*running)
    await eventually(lambda: watched.compared("outdated"))
    await watched.equal()
    assert prompt(watched.manager) == "The newest."


# What events do not tell.


@pytest.mark.usefixtures("deaf")
async def test_missed_events_are_healed_by_comparison(directory: Path) -> None:
    """When nothing is heard, the timer finds the change, and it is counted as drift (promise 24, W23)."""
    async with watching(directory, watch_interval=0.2) as watched:
        write_in_place(directory)
        await watched.equal()
        add_file(directory)
        await watched.equal()
        await eventually(lambda: watched.compared("drift"))


@pytest.mark.usefixtures("deaf")
async def test_nothing_is_read_between_comparisons(directory: Path) -> None:
    """Without a hint the files are left alone until the timer."""
    async with watching(directory) as watched:
        await eventually(lambda: watched.watcher.status.up)
        write_in_place(directory)
        await asyncio.sleep(0.2)
        assert watched.reports.empty()


@pytest.mark.usefixtures("deaf")
async def test_events_that_are_missing_again_and_again_are_given_up(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After three changes that only the timer found, the watcher looks by itself, and says so (promise 21)."""
    monkeypatch.setattr(watcher, "_LATE_EVENT", 0.01)
    async with watching(directory, watch_interval=0.1) as watched:
        await eventually(lambda: watched.watcher.status.up)
        for number in range(3):
            (directory / "ada.py").write_text(character("Ada", f"Save {number}."))
            await watched.equal()
        await eventually(lambda: watched.watcher.status.mode == "poll")
    assert "polling the character directory for changes: 3 changes had no event" in caplog.text


async def test_comparison_reads_content(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer finds an edit that leaves every field of the stat as it was (promise 24, W21)."""
    monkeypatch.setattr(snapshot, "_stamp", lambda status: (0, 0, 0, 0, 0))
    monkeypatch.setattr(snapshot, "_SETTLED", -(10**18))
    async with watching(directory, watch_interval=0.3) as watched:
        await watched.listening()
        restore_time(directory)
        await watched.equal()
        assert prompt(watched.manager) == "Be dull."


async def test_notifier_that_cannot_begin_is_replaced_by_looking(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no events can be had, the watcher looks by itself, and the log says why (promise 21, W25)."""

    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "OS file watch limit reached.")

    monkeypatch.setattr(event_source, "watch", refuse)
    monkeypatch.setattr(watcher, "_POLL", 0.02)
    async with watching(directory) as watched:
        write_in_place(directory)
        await watched.equal()
        await eventually(lambda: watched.watcher.status.mode == "poll" and watched.value("watcher_up") == 1)
    error = "([Errno 28] OS file watch limit reached.)"
    assert f"polling the character directory for changes: events are not available {error}" in caplog.text


async def test_notifier_that_ends_is_begun_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A notifier that ends with an error is replaced by a new one, and counted (promises 21, 22, W25)."""
    ended = threading.Event()

    def end_once(*args: Any, stop_event: Any, **options: Any) -> Any:
        if ended.is_set():
            return watch(*args, stop_event=stop_event, **options)
        stop_event.is_set()
        ended.set()
        raise RuntimeError("error in underlying watcher")

    monkeypatch.setattr(event_source, "watch", end_once)
    async with watching(directory) as watched:
        await eventually(lambda: watched.value("watcher_restarts_total") and watched.watcher.status.up)
        for edit in (write_in_place, add_file):
            edit(directory)
            await watched.equal()
    assert "not watching the character directory: events ended (error in underlying watcher)" in caplog.text


async def test_file_system_without_events_is_looked_at(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a file system that is known to send no events the watcher looks by itself, unasked."""
    monkeypatch.setattr(watcher, "sends_events", lambda path: False)
    async with watching(directory) as watched:
        await eventually(lambda: watched.watcher.status.up)
        assert watched.watcher.status.mode == "poll"
    assert "polling the character directory for changes: its file system sends no events" in caplog.text


async def test_mounted_file_is_warned_about(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is a mount of its own may never change: the log says so (W24)."""
    monkeypatch.setattr(watcher, "mounted_files", lambda path: [f"{path}/ada.py"])
    async with watching(directory) as watched:
        await eventually(lambda: watched.watcher.status.up)
    assert f"{directory}/ada.py is a mount of its own" in caplog.text


# The watcher's own health.


async def test_crash_is_logged_and_counted_and_it_goes_on(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of its own does not end the watcher, and does not go unnoticed (promises 21, 22)."""
    look = watched.manager.look
    ups: list[float] = []

    async def fail_once(**options: Any) -> Snapshot:
        monkeypatch.setattr(watched.manager, "look", look)
        raise RuntimeError("on purpose")

    monkeypatch.setattr(watched.manager, "look", fail_once)
    monkeypatch.setattr(watched.metrics.watcher_up, "set", ups.append)
    write_in_place(watched.directory)
    await watched.equal()
    await eventually(lambda: ups[-1:] == [1])
    assert (watched.watcher.status.restarts, watched.value("watcher_restarts_total"), 0 in ups) == (1, 1, True)
    assert "RuntimeError: on purpose" in caplog.text


async def test_status_tells_how_the_watcher_is(watched: Watched) -> None:
    """The status has what an operator asks: is it up, how does it learn of changes, when did it look."""
    before = watched.watcher.status
    write_in_place(watched.directory)
    await watched.equal()
    after = watched.watcher.status
    assert (after.up, after.mode, after.held, after.restarts) == (True, "events", False, 0)
    assert (after.last_event or "") > (before.last_event or "")
    assert (after.last_comparison or "") > (before.last_comparison or "")


async def test_comparisons_are_counted_by_result(watched: Watched) -> None:
    """A change that serves counts as applied, and a directory that is refused as rejected."""
    write_in_place(watched.directory)
    await watched.equal()
    await eventually(lambda: watched.compared("applied") == 1)
    for file in watched.directory.glob("*.py"):
        file.unlink()
    await eventually(lambda: watched.compared("rejected"))
    assert watched.value("watcher_up") == 1


# Rollback.


async def roll_back(watched: Watched, generation: int | None = None) -> None:
    """Roll back as the endpoint does, and wait until the watcher has looked at the disk again."""
    request = RollbackRequest().as_reload
    await watched.manager.reload_characters(request, FromHistory(generation), trigger="rollback")
    await watched.reports.get()
    compared = watched.compared()
    await eventually(lambda: watched.compared() > compared)


@pytest.fixture
async def edited(watched: Watched) -> Watched:
    """A watched directory in which Ada was edited, and the edit is served."""
    await watched.listening()
    (watched.directory / "ada.py").write_text(character("Ada", "Edited."))
    await watched.equal()
    while not watched.reports.empty():
        watched.reports.get_nowait()
    return watched


async def test_a_rollback_is_not_undone(edited: Watched) -> None:
    """The watcher holds, and says so, while what it had tried lies on the disk: touched or saved again too."""
    await roll_back(edited)
    for edit in (os.utime, lambda file: file.write_text(character("Ada", "Edited."))):
        compared = edited.compared()
        edit(edited.directory / "ada.py")
        await eventually(lambda before=compared: edited.compared() > before)  # type: ignore[misc]
    assert (prompt(edited.manager), edited.value("watcher_held"), edited.watcher.status.held) == (
        "Be kind.",
        1,
        True,
    )
    assert edited.reports.empty()


async def test_a_rollback_ends_with_the_next_change_of_the_disk(edited: Watched) -> None:
    """The set follows the disk again, all of it (promise 32)."""
    await roll_back(edited)
    add_file(edited.directory)
    await edited.equal()
    assert (prompt(edited.manager), "Eve" in edited.manager.current) == ("Edited.", True)
    await eventually(lambda: edited.value("watcher_held") == 0)


async def test_a_rollback_is_not_undone_by_what_was_there_before_it(edited: Watched) -> None:
    """A save that no comparison has seen yet is part of the disk that was left, not a change of it."""
    (edited.directory / "ada.py").write_text(character("Ada", "Edited again."))
    await roll_back(edited)
    assert (prompt(edited.manager), edited.reports.empty()) == ("Be kind.", True)


async def test_a_reload_that_waits_behind_a_rollback_does_not_undo_it(
    directory: Path, write: Write, gate: Gate
) -> None:
    """What the watcher had asked for before the rollback had its turn is compared with the disk again."""
    gate.opened.set()
    write("slow.py", f"{character('Slow')}\nimport gate; gate.wait()")
    async with watching(directory) as watched:
        await watched.listening()
        gate.opened.clear()
        gate.reached.clear()
        first = asyncio.create_task(watched.manager.reload_characters())
        await gate.until_reached()
        back = asyncio.create_task(watched.manager.reload_characters(source=FromHistory(1), trigger="rollback"))
        await asyncio.sleep(0)
        write("ada.py", character("Ada", "Edited."))
        await eventually(lambda: len(watched.manager._queue._tasks) == 3)
        gate.opened.set()
        await asyncio.gather(first, back)
        await eventually(lambda: watched.compared("outdated"))
        compared = watched.compared()
        await eventually(lambda: watched.compared() > compared)
        assert (prompt(watched.manager), watched.value("watcher_held")) == ("Be kind.", 1)


async def test_a_watcher_goes_on_when_it_is_told_to(edited: Watched) -> None:
    """After `resume` what lies on the disk is served again."""
    await roll_back(edited)
    edited.watcher.resume()
    assert edited.value("watcher_held") == 0
    await edited.equal()
    assert prompt(edited.manager) == "Edited."


async def test_what_was_refused_is_tried_again_when_told_to(watched: Watched) -> None:
    """`resume` also runs a save again that was refused; refused again, it is held again."""
    await watched.listening()
    for file in watched.directory.glob("*.py"):
        file.unlink()
    await eventually(lambda: watched.value("watcher_held"))
    rejected = watched.compared("rejected")
    watched.watcher.resume()
    await eventually(lambda: watched.compared("rejected") > rejected)
    assert watched.value("watcher_held") == 1


async def test_a_rollback_to_another_directory_is_held_there(edited: Watched, tmp_path: Path) -> None:
    """The watcher moves with the rollback, and what lies there is not served until it changes."""
    first = edited.directory
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "zoe.py").write_text(character("Zoe"))
    await edited.manager.reload_characters(ReloadRequest(directory=str(tmp_path / "other")))
    (first / "ada.py").write_text(character("Ada", "Elsewhere."))
    await roll_back(edited, generation=1)
    assert (edited.manager.current.directory, prompt(edited.manager)) == (str(first), "Be kind.")
    await edited.listening()
    assert prompt(edited.manager) == "Be kind."
    add_file(first)
    await edited.equal()


async def test_a_directory_that_comes_back_after_a_rollback_is_a_change(edited: Watched) -> None:
    """Gone when the rollback looked for it, it is served as soon as it returns."""
    away = edited.directory.with_name("away")
    edited.directory.rename(away)
    await edited.manager.reload_characters(ReloadRequest(on_error="abort"), FromHistory(), trigger="rollback")
    assert (prompt(edited.manager), edited.value("watcher_held")) == ("Be kind.", 1)
    away.rename(edited.directory)
    await edited.equal()
    assert prompt(edited.manager) == "Edited."


# Tools.


def run(*command: str, cwd: Path) -> None:
    """Run a tool, quietly; raises if it fails."""
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
async def test_checkout_of_another_branch_is_followed(directory: Path) -> None:
    """Switching between branches in the directory, to and fro, ends on the files of the branch (W2)."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    commands = ["init -q -b main", "add .", "commit -q -m one", "checkout -q -b other"]
    for command in commands:
        run(*git, *command.split(), cwd=directory)
    for edit in (write_in_place, edit_helper, remove_file, make_nested_folders):
        edit(directory)
    for command in ("add -A", "commit -q -m two"):
        run(*git, *command.split(), cwd=directory)
    async with watching(directory) as watched:
        await watched.listening()
        for branch, text in (("main", "Be kind."), ("other", "In place."), ("main", "Be kind.")):
            run(*git, "checkout", "-q", branch, cwd=directory)
            await watched.equal()
            assert prompt(watched.manager) == text


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
async def test_rsync_is_followed(tmp_path: Path, watched: Watched) -> None:
    """`rsync -a --delete`, which restores times, ends on the files of the source (W2, W21)."""
    source = tmp_path / "source"
    shutil.copytree(watched.directory, source)
    for edit in (restore_time, remove_file, make_nested_folders):
        edit(source)
    run("rsync", "-a", "--delete", "--checksum", f"{source}/", str(watched.directory), cwd=tmp_path)
    await watched.equal()
    assert watched.served() == on_disk(source)
