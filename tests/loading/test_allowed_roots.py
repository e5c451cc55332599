"""Where a reload may read, if the operator has said so: not outside, by no link and at no moment."""

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
def world(tmp_path: Path) -> Path:
    """A root `chars` with the directory `mine` in it, and `outside` beside it."""
    for path in ("chars/mine", "chars/mine/deep", "outside", "outside/deep", "chars-evil", "start"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "ada.py").write_text(SECRET if "outside" in path else character("Ada"))
    return tmp_path


def roots(world: Path, *names: str) -> AllowedRoots:
    """AllowedRoots of that world, with another directory of the start."""
    return AllowedRoots([world / name for name in names or ("chars",)], world / "start")


def read(world: Path, path: str) -> dict[str, bytes]:
    """Read a directory of the world as a reload does; answers the bytes by path."""
    taken = take_snapshot(Path(f"{world}/{path}"), LIMITS, roots=roots(world))
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
def test_what_was_read_once_is_admitted_by_where_it_was(world: Path, path: str, led_to: str, may: bool) -> None:
    """For bytes that are stored it does not matter what is there now: the path and the place it led to decide."""
    with nullcontext() if may else pytest.raises(DirectoryNotAllowed):
        roots(world).admit(world / path, f"{world}/{led_to}")


@pytest.mark.parametrize(
    "path", ["chars", "chars/", "chars/mine", "chars/mine/deep", "chars/./mine", "chars/mine/../mine", "start"]
)
def test_what_lies_below_a_root_is_read(world: Path, path: str) -> None:
    """The root itself, all that is below, and the directory of the start."""
    assert "ada.py" in read(world, path) or path.strip("/") == "chars"


@pytest.mark.parametrize(
    "path",
    [
        *("outside", "chars-evil", "chars/../outside", "chars/mine/../../outside", ".", "", "chars/..", "start/deep"),
        *("nowhere", "chars-nowhere", "chars/../nowhere", "chars/mine/../../nowhere", "char", "start/../outside"),
    ],
)
def test_what_lies_elsewhere_is_not(world: Path, path: str) -> None:
    """Not beside a root, nor with a longer or shorter name, nor back and forth; existing or not makes no difference."""
    with pytest.raises(DirectoryNotAllowed) as refusal:
        read(world, path)
    assert str(refusal.value) == "The directory is not below one of the allowed roots (CHARHOST_ALLOWED_ROOTS)."


@pytest.mark.parametrize("target", ["outside", "nowhere", "chars-evil", "chars/mine/../../outside"])
def test_a_link_out_of_a_root_leads_nowhere(world: Path, target: str) -> None:
    """The place that a path leads to has to lie below a root too, whether or not anything is there (promise 34)."""
    (world / "chars" / "link").symlink_to(world / target)
    for path in ("chars/link", "chars/link/deep", "chars/link/nowhere"):
        with pytest.raises(DirectoryNotAllowed):
            read(world, path)


def test_a_link_into_a_root_is_no_way_in(world: Path) -> None:
    """The path as it is asked for counts as well as the place."""
    (world / "link").symlink_to(world / "chars")
    with pytest.raises(DirectoryNotAllowed):
        read(world, "link/mine")


def test_a_link_within_a_root_is_followed(world: Path) -> None:
    """Links that lead from one place below a root to another change nothing."""
    (world / "chars" / "link").symlink_to("mine")
    assert "ada.py" in read(world, "chars/link")


def test_a_root_may_be_a_link(world: Path) -> None:
    """What is below it is read by the name of the link and by its own, also after the link was switched."""
    (world / "link").symlink_to("chars")
    by_link = roots(world, "link")
    for path in ("link/mine", "chars/mine"):
        assert take_snapshot(world / path, LIMITS, roots=by_link).files
    (world / "link").unlink()
    (world / "link").symlink_to("outside")
    assert take_snapshot(world / "link" / "deep", LIMITS, roots=by_link).files
    with pytest.raises(DirectoryNotAllowed):
        take_snapshot(world / "chars" / "mine", LIMITS, roots=by_link)


def test_one_of_several_roots_will_do(world: Path) -> None:
    """A link from one root into another is within the roots."""
    both = roots(world, "chars", "outside")
    (world / "chars" / "link").symlink_to(world / "outside")
    for path in ("chars/link", "outside/deep", "chars/mine"):
        assert take_snapshot(world / path, LIMITS, roots=both).files


def test_the_whole_disk_may_be_a_root(world: Path) -> None:
    """Everything is below `/`."""
    assert take_snapshot(world / "outside", LIMITS, roots=AllowedRoots([Path("/")], world / "start")).files


# What is in them


def test_a_linked_folder_outside_is_not_entered(world: Path) -> None:
    """Nothing of it is among the files, nor named in an error."""
    (world / "chars" / "mine" / "resources").symlink_to(world / "outside")
    taken = take_snapshot(world / "chars" / "mine", LIMITS, roots=roots(world))
    assert (sorted(taken.files), taken.unreadable) == (["ada.py", "deep/ada.py"], {})


@pytest.mark.parametrize("target", ["ada.py", "nowhere.py", "deep"])
def test_a_linked_file_outside_is_not_read(world: Path, target: str) -> None:
    """It is an error of that file, which says why but not what is there; no byte of it is kept."""
    (world / "chars" / "mine" / "link.py").symlink_to(world / "outside" / target)
    taken = take_snapshot(world / "chars" / "mine", LIMITS, roots=roots(world))
    assert SECRET.encode() not in [file.data for file in taken.files.values()]
    told = "leads out of the allowed roots" in str(taken.unreadable.get("link.py"))
    assert told == (target != "deep")  # a folder of that name is only not entered


def test_links_within_the_directory_of_the_start_are_followed(world: Path) -> None:
    """It may lie anywhere, be a link, and be switched, as by a volume of Kubernetes; only out of it nothing leads."""
    (world / "start" / "ada.py").unlink()
    (world / "outside" / "..data").symlink_to("deep")
    (world / "outside" / "bob.py").symlink_to("..data/ada.py")
    (world / "outside" / "zoe.py").symlink_to(world / "chars-evil" / "ada.py")
    (world / "start").rmdir()
    (world / "start").symlink_to("outside")
    taken = take_snapshot(world / "start", LIMITS, roots=roots(world))
    assert (sorted(taken.files), list(taken.unreadable)) == (["ada.py", "bob.py", "deep/ada.py"], ["zoe.py"])


# Links that are switched while a directory is read


def switched(world: Path, path: str, target: str) -> None:
    """Put a link in the place of a directory or file."""
    (world / path).rename(world / "was-there")
    (world / path).symlink_to(world / target)


@pytest.mark.parametrize("target", ["outside", "nowhere", "outside/ada.py"])
def test_a_directory_switched_after_the_check_gives_nothing_away(
    world: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """The refusal is that of any path outside, and tells nothing of what the link leads to."""
    files = Walk.files

    def late(walk: Walk) -> Iterator[tuple[str, str]]:
        switched(world, "chars/mine", target)
        return files(walk)

    monkeypatch.setattr(Walk, "files", late)
    with pytest.raises(DirectoryNotAllowed):
        read(world, "chars/mine")


def test_a_directory_switched_to_and_fro_gives_no_byte_away(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the path means before and after, each file that is opened has to lie within the roots."""
    read_regular = snapshot._read_regular

    def meanwhile(*arguments: Any) -> Any:
        switched(world, "chars/mine", "outside")
        try:
            return read_regular(*arguments)
        finally:
            (world / "chars" / "mine").unlink()
            (world / "was-there").rename(world / "chars" / "mine")

    monkeypatch.setattr(snapshot, "_read_regular", meanwhile)
    assert read(world, "chars/mine") == {}


def test_a_folder_switched_after_it_was_found_gives_no_byte_away(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that becomes a link between its listing and the opening of its files leads nowhere."""
    open_file = os.open

    def late(path: Any, *arguments: Any, **more: Any) -> int:
        if str(path).endswith("deep/ada.py") and not (world / "was-there").exists():
            switched(world, "chars/mine/deep", "outside/deep")
        return open_file(path, *arguments, **more)

    monkeypatch.setattr(os, "open", late)
    assert list(read(world, "chars/mine")) == ["ada.py"]


def test_where_the_system_cannot_tell_nothing_is_read(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `/proc` a file is refused rather than trusted."""

    def readlink(path: Any) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "readlink", readlink)
    assert read(world, "chars/mine") == {}


# Reloads


async def managed(world: Path) -> CharacterManager:
    """A manager with one root that has loaded the directory of its start."""
    manager = CharacterManager(Settings(directory=world / "start", allowed_roots=str(world / "chars")), Metrics())
    await manager.reload_characters(ReloadRequest(directory="default"), trigger="startup")
    return manager


async def test_a_refused_directory_is_no_attempt(world: Path) -> None:
    """Nothing changes, is counted or kept; `default` and what is below a root work before and after."""
    manager = await managed(world)
    before = manager.current
    with pytest.raises(DirectoryNotAllowed):
        await manager.reload_characters(ReloadRequest(directory=str(world / "outside")))
    assert (manager.current, len(await manager.store.attempts(100))) == (before, 1)
    for directory in (str(world / "chars" / "mine"), "default", str(world / "start")):
        assert (await manager.reload_characters(ReloadRequest(directory=directory))).outcome == "applied"


async def test_the_watcher_does_not_follow_a_link_out_of_the_roots(world: Path) -> None:
    """When the current directory becomes a link to elsewhere, looking at it is refused."""
    manager = await managed(world)
    await manager.reload_characters(ReloadRequest(directory=str(world / "chars" / "mine")))
    switched(world, "chars/mine", "outside")
    with pytest.raises(DirectoryNotAllowed):
        await manager.look()


async def test_a_rollback_reads_nothing_outside_the_roots(world: Path) -> None:
    """It restores from the stored bytes, although the directory now leads elsewhere."""
    manager = await managed(world)
    await manager.reload_characters(ReloadRequest(directory=str(world / "chars" / "mine")))
    await manager.reload_characters()
    switched(world, "chars/mine", "outside")
    report = await manager.reload_characters(source=FromHistory(), trigger="rollback")
    assert (report.outcome, manager.applied, list(manager.current)) == ("applied", None, ["Ada"])


async def test_existing_and_missing_paths_get_the_same_answer(
    world: Path, aiohttp_client: Callable[..., Awaitable[Client]]
) -> None:
    """An admin learns nothing of what lies outside the roots (promise 34)."""
    app = create_app(Settings(directory=world / "start", allowed_roots=str(world / "chars")))
    client = await aiohttp_client(app)
    paths = [str(world / path) for path in ("outside", "nowhere", "outside/ada.py", "chars-evil")]
    answers = [await client.post("/v1/characters/reload", json={"directory": path}) for path in paths]
    assert {(answer.status, await answer.read()) for answer in answers} == {(403, await answers[0].read())}
    problem = await answers[0].json()
    assert (problem["code"], str(world) in str(problem)) == ("directory_not_allowed", False)
