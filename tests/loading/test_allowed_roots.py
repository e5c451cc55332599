"""With allowed roots no file outside them is read, by no link and at no moment."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from charhost.errors import DirectoryNotAllowed
from charhost.loading import snapshot
from charhost.loading.allowed_roots import AllowedRoots
from charhost.loading.directory_walk import Walk
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.metrics import Metrics
from charhost.reload.attempt import FromHistory
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client, character

LIMITS = Limits(files=100, bytes=1 << 20, file_bytes=1 << 20)
SECRET = "SECRET = 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A root `chars` with the directory `mine` in it, and `outside` beside it."""
    for path in ("chars/mine", "chars/mine/deep", "outside", "outside/deep", "chars-evil", "start"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "ada.py").write_text(SECRET if "outside" in path else character("Ada"))
    return tmp_path


def roots(folder: Path, *names: str) -> AllowedRoots:
    """Return roots in that folder, with `start` as the directory of the start."""
    return AllowedRoots([folder / name for name in names or ("chars",)], folder / "start")


def read(folder: Path, path: str) -> dict[str, bytes]:
    """Read a directory as a reload does, and return the bytes by path."""
    taken = take_snapshot(Path(f"{folder}/{path}"), LIMITS, roots=roots(folder))
    return {path: file.data for path, file in taken.files.items()}


# Which directories


@pytest.mark.parametrize(
    ("path", "led_to", "may"),
    [
        ("chars/gone", "chars/gone", True),
        ("start", "anywhere", True),
        ("gone", "gone", False),
        ("chars/link", "outside", False),
        ("link", "chars/mine", False),
    ],
)
def test_stored_bytes_are_admitted_by_their_place(folder: Path, path: str, led_to: str, may: bool) -> None:
    """Stored bytes are admitted by their path and the real path of that time, whatever is there now."""
    with nullcontext() if may else pytest.raises(DirectoryNotAllowed):
        roots(folder).admit(folder / path, f"{folder}/{led_to}")


@pytest.mark.parametrize(
    "path", ["chars", "chars/", "chars/mine", "chars/mine/deep", "chars/./mine", "chars/mine/../mine", "start"]
)
def test_directories_below_a_root_are_read(folder: Path, path: str) -> None:
    """The root, the folders below it and the directory of the start are read."""
    assert "ada.py" in read(folder, path) or path.strip("/") == "chars"


@pytest.mark.parametrize(
    "path",
    [
        *("outside", "chars-evil", "chars/../outside", "chars/mine/../../outside", ".", "", "chars/..", "start/deep"),
        *("nowhere", "chars-nowhere", "chars/../nowhere", "chars/mine/../../nowhere", "char", "start/../outside"),
    ],
)
def test_other_directories_are_refused(folder: Path, path: str) -> None:
    """A path outside the roots is refused, also with `..` or a similar name, and whether or not it exists."""
    with pytest.raises(DirectoryNotAllowed) as refusal:
        read(folder, path)
    assert str(refusal.value) == "The directory is not below one of the allowed roots (CHARHOST_ALLOWED_ROOTS)."


@pytest.mark.parametrize("target", ["outside", "nowhere", "chars-evil", "chars/mine/../../outside"])
def test_a_link_out_of_a_root_is_refused(folder: Path, target: str) -> None:
    """A link out of a root is refused, whether or not its target exists (promise 34)."""
    (folder / "chars" / "link").symlink_to(folder / target)
    for path in ("chars/link", "chars/link/deep", "chars/link/nowhere"):
        with pytest.raises(DirectoryNotAllowed):
            read(folder, path)


def test_a_link_into_a_root_is_refused(folder: Path) -> None:
    """A link from outside into a root is refused."""
    (folder / "link").symlink_to(folder / "chars")
    with pytest.raises(DirectoryNotAllowed):
        read(folder, "link/mine")


def test_a_link_within_a_root_is_followed(folder: Path) -> None:
    """A link within a root is followed."""
    (folder / "chars" / "link").symlink_to("mine")
    assert "ada.py" in read(folder, "chars/link")


def test_a_root_may_be_a_link(folder: Path) -> None:
    """A root that is a link is read by both its names, and follows the link when it is switched."""
    (folder / "link").symlink_to("chars")
    by_link = roots(folder, "link")
    for path in ("link/mine", "chars/mine"):
        assert take_snapshot(folder / path, LIMITS, roots=by_link).files
    (folder / "link").unlink()
    (folder / "link").symlink_to("outside")
    assert take_snapshot(folder / "link" / "deep", LIMITS, roots=by_link).files
    with pytest.raises(DirectoryNotAllowed):
        take_snapshot(folder / "chars" / "mine", LIMITS, roots=by_link)


def test_one_of_several_roots_will_do(folder: Path) -> None:
    """A link from one root into another is followed."""
    both = roots(folder, "chars", "outside")
    (folder / "chars" / "link").symlink_to(folder / "outside")
    for path in ("chars/link", "outside/deep", "chars/mine"):
        assert take_snapshot(folder / path, LIMITS, roots=both).files


def test_the_whole_disk_may_be_a_root(folder: Path) -> None:
    """With the root `/` every directory is read."""
    assert take_snapshot(folder / "outside", LIMITS, roots=AllowedRoots([Path("/")], folder / "start")).files


# What is in them


def test_a_linked_folder_outside_is_not_entered(folder: Path) -> None:
    """A linked folder outside the roots is not entered, and is no error."""
    (folder / "chars" / "mine" / "resources").symlink_to(folder / "outside")
    taken = take_snapshot(folder / "chars" / "mine", LIMITS, roots=roots(folder))
    assert (sorted(taken.files), taken.unreadable) == (["ada.py", "deep/ada.py"], {})


@pytest.mark.parametrize("target", ["ada.py", "nowhere.py", "deep"])
def test_a_linked_file_outside_is_not_read(folder: Path, target: str) -> None:
    """A linked file outside the roots is an error of that file, and none of its bytes are kept."""
    (folder / "chars" / "mine" / "link.py").symlink_to(folder / "outside" / target)
    taken = take_snapshot(folder / "chars" / "mine", LIMITS, roots=roots(folder))
    assert SECRET.encode() not in [file.data for file in taken.files.values()]
    is_refused = "leads out of the allowed roots" in str(taken.unreadable.get("link.py"))
    assert is_refused == (target != "deep")  # a folder of that name is only not entered


def test_links_within_the_directory_of_the_start_are_followed(folder: Path) -> None:
    """Links within the directory of the start are followed, and a link out of it is an error."""
    (folder / "start" / "ada.py").unlink()
    (folder / "outside" / "..data").symlink_to("deep")
    (folder / "outside" / "bob.py").symlink_to("..data/ada.py")
    (folder / "outside" / "zoe.py").symlink_to(folder / "chars-evil" / "ada.py")
    (folder / "start").rmdir()
    (folder / "start").symlink_to("outside")
    taken = take_snapshot(folder / "start", LIMITS, roots=roots(folder))
    assert (sorted(taken.files), list(taken.unreadable)) == (["ada.py", "bob.py", "deep/ada.py"], ["zoe.py"])


# Links that are switched while a directory is read


def switched(folder: Path, path: str, target: str) -> None:
    """Replace a directory or file by a link."""
    (folder / path).rename(folder / "was-there")
    (folder / path).symlink_to(folder / target)


@pytest.mark.parametrize("target", ["outside", "nowhere", "outside/ada.py"])
def test_a_directory_switched_after_the_check_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """A directory that becomes a link after the check is refused like any path outside."""
    files = Walk.files

    def late(walk: Walk) -> Iterator[tuple[str, os.DirEntry[str]]]:
        switched(folder, "chars/mine", target)
        return files(walk)

    monkeypatch.setattr(Walk, "files", late)
    with pytest.raises(DirectoryNotAllowed):
        read(folder, "chars/mine")


def test_a_directory_switched_to_and_fro_gives_no_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is a link only while its files are opened gives no bytes."""
    read_regular = snapshot._read_regular

    def meanwhile(*arguments: Any) -> Any:
        switched(folder, "chars/mine", "outside")
        try:
            return read_regular(*arguments)
        finally:
            (folder / "chars" / "mine").unlink()
            (folder / "was-there").rename(folder / "chars" / "mine")

    monkeypatch.setattr(snapshot, "_read_regular", meanwhile)
    assert read(folder, "chars/mine") == {}


def test_a_folder_switched_after_its_listing_gives_no_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that becomes a link after its listing gives no bytes."""
    open_file = os.open

    def late(path: Any, *arguments: Any, **more: Any) -> int:
        if str(path).endswith("deep/ada.py") and not (folder / "was-there").exists():
            switched(folder, "chars/mine/deep", "outside/deep")
        return open_file(path, *arguments, **more)

    monkeypatch.setattr(os, "open", late)
    assert list(read(folder, "chars/mine")) == ["ada.py"]


def test_without_proc_nothing_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `/proc` no file is read."""

    def readlink(path: Any) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "readlink", readlink)
    assert read(folder, "chars/mine") == {}


# Reloads


async def loaded_manager(folder: Path) -> CharacterManager:
    """Return a manager with one root, which has loaded the directory of the start."""
    manager = CharacterManager(Settings(directory=folder / "start", allowed_roots=str(folder / "chars")), Metrics())
    await manager.reload_characters(ReloadRequest(directory="default"), trigger="startup")
    return manager


async def test_a_refused_directory_is_no_attempt(folder: Path) -> None:
    """A refused directory changes nothing and is no attempt, and allowed ones load afterwards."""
    manager = await loaded_manager(folder)
    before = manager.current
    with pytest.raises(DirectoryNotAllowed):
        await manager.reload_characters(ReloadRequest(directory=str(folder / "outside")))
    assert (manager.current, len(await manager.store.attempts(100))) == (before, 1)
    for directory in (str(folder / "chars" / "mine"), "default", str(folder / "start")):
        assert (await manager.reload_characters(ReloadRequest(directory=directory))).outcome == "applied"


async def test_the_watcher_does_not_follow_a_link_out_of_the_roots(folder: Path) -> None:
    """A current directory that becomes a link out of the roots is not read by the watcher."""
    manager = await loaded_manager(folder)
    await manager.reload_characters(ReloadRequest(directory=str(folder / "chars" / "mine")))
    switched(folder, "chars/mine", "outside")
    with pytest.raises(DirectoryNotAllowed):
        await manager.look()


async def test_a_rollback_reads_nothing_outside_the_roots(folder: Path) -> None:
    """A rollback restores the stored bytes, although its directory is now a link out of the roots."""
    manager = await loaded_manager(folder)
    await manager.reload_characters(ReloadRequest(directory=str(folder / "chars" / "mine")))
    await manager.reload_characters()
    switched(folder, "chars/mine", "outside")
    report = await manager.reload_characters(source=FromHistory(), trigger="rollback")
    assert (report.outcome, manager.applied, list(manager.current)) == ("applied", None, ["Ada"])


async def test_existing_and_missing_paths_get_the_same_response(
    folder: Path, aiohttp_client: Callable[..., Awaitable[Client]]
) -> None:
    """An admin gets the same response for existing and missing paths outside the roots (promise 34)."""
    app = create_app(Settings(directory=folder / "start", allowed_roots=str(folder / "chars")))
    client = await aiohttp_client(app)
    paths = [str(folder / path) for path in ("outside", "nowhere", "outside/ada.py", "chars-evil")]
    answers = [await client.post("/v1/characters/reload", json={"directory": path}) for path in paths]
    assert {(answer.status, await answer.read()) for answer in answers} == {(403, await answers[0].read())}
    problem = await answers[0].json()
    assert (problem["code"], str(folder) in str(problem)) == ("directory_not_allowed", False)
