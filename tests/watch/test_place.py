"""The watcher follows its directory when a link or another directory takes its place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from charhost.reload.request import ReloadRequest
from charhost.watch import watcher
from tests.conftest import character, prompt
from tests.watch.edits import add_file, write_in_place
from tests.watch.helpers import Watched, eventually, watching


async def test_switched_data_link_is_followed(directory: Path) -> None:
    """Each time that Kubernetes switches `..data`, the new version serves (W4, W5)."""
    for path in list(directory.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    switch_data(directory, 0)
    (directory / "ada.py").symlink_to("..data/ada.py")
    async with watching(directory) as watched:
        await watched.armed()
        for version in range(1, 4):
            switch_data(directory, version)
            await watched.equal()
            assert prompt(watched.manager) == f"Version {version}."


def switch_data(directory: Path, version: int) -> None:
    """Act as the kubelet: write the new folder, swap the link in one step, remove the old folder."""
    folder = directory / f"..2026_{version}"
    folder.mkdir()
    (folder / "ada.py").write_text(character("Ada", f"Version {version}."))
    (directory / "..data_tmp").symlink_to(folder.name)
    (directory / "..data_tmp").rename(directory / "..data")
    shutil.rmtree(directory / f"..2026_{version - 1}", ignore_errors=True)


def releases(tmp_path: Path) -> tuple[Path, list[Path]]:
    """Return a link to the first of three releases, whose files all have the same size and times, and the releases."""
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
    """A directory that is a link is followed to another release by an event, whatever the files' times (W6)."""
    monkeypatch.setattr(watcher, "_TICK", 60)
    link, folders = releases(tmp_path)
    for folder in folders:
        (folder / "ada.py").write_text((folder / "characters" / "ada.py").read_text())
    async with watching(link) as watched:
        await watched.armed()
        for number in (1, 2, 0):
            point(link, folders[number])
            await watched.equal()
            assert prompt(watched.manager) == f"Release {number}."


async def test_edit_behind_a_switched_link_has_an_event(tmp_path: Path) -> None:
    """After the switch of a link, edits in its new target are noticed by events (W6)."""
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
    """The switch of a link above the directory is found without an event, by the real path (W6)."""
    link, folders = releases(tmp_path)
    async with watching(link / "characters") as watched:
        await eventually(lambda: watched.watcher.status.last_event)
        point(link, folders[1])
        await watched.equal()
        assert prompt(watched.manager) == "Release 1."


async def test_missing_directory_is_watched_once_it_is_there(directory: Path) -> None:
    """A directory that is missing at the start is watched as soon as it exists (W9)."""
    directory.rename(directory.with_name("later"))
    async with watching(directory) as watched:
        await eventually(lambda: watched.value("watcher_up") == 0 and watched.watcher.status.up is False)
        directory.with_name("later").rename(directory)
        await watched.equal()
        write_in_place(directory)
        await watched.equal()
        assert watched.value("watcher_up") == 1


async def test_directory_made_again_at_once_is_watched(watched: Watched) -> None:
    """A directory deleted and made again at once is watched, even if it has the same inode (W7)."""
    copy = watched.directory.with_name("copy")
    shutil.copytree(watched.directory, copy)
    for number in range(8):
        (copy / "ada.py").write_text(character("Ada", f"Copy {number}."))
        shutil.rmtree(watched.directory)
        shutil.copytree(copy, watched.directory)
        await watched.equal()
        (watched.directory / "bob.py").write_text(character("Bob", f"Edit {number}."))
        await watched.equal()


async def test_directory_of_another_reload_is_watched(watched: Watched, tmp_path: Path) -> None:
    """After a reload from another directory the watcher follows that one."""
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
    """After a reload back to the first directory the watcher follows the first one again."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "eve.py").write_text(character("Eve"))
    await watched.manager.reload_characters(ReloadRequest(directory=str(other)))
    write_in_place(watched.directory)
    await watched.manager.reload_characters(ReloadRequest(directory="default"))
    add_file(watched.directory)
    await watched.equal()
