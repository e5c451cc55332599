"""File systems that announce no changes are polled, wherever in the directory they are mounted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.settings import Settings
from charhost.watch import mounts
from charhost.watch.watcher import Watcher
from tests.conftest import character, prompt

VIRTUAL_MACHINES = ["fakeowner", "osxfs", "fuse.grpcfuse", "vmhgfs", "fuse.vmhgfs-fuse", "vboxsf", "prl_fs", "gofer"]
WINDOWS = ["wslfs", "drvfs", "9p"]
CLUSTERS = [
    "gpfs",
    "beegfs",
    "beegfs_nodev",
    "lustre",
    "ceph",
    "glusterfs",
    "pvfs2",
    "orangefs",
    "ocfs2",
    "gfs2",
    "coda",
]


def mount(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *entries: tuple[str, str]) -> None:
    """Put a table of mounts in the kernel's place."""
    table = tmp_path / "mountinfo"
    table.write_text("".join(f"1 1 0:1 / {point} rw - {kind} source rw\n" for point, kind in entries))
    monkeypatch.setattr(mounts, "TABLE", table)


@pytest.mark.parametrize("kind", [*VIRTUAL_MACHINES, *WINDOWS, *CLUSTERS])
def test_shared_file_system_sends_no_events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    """Mounts of a host, of Windows and of a cluster change without an event."""
    mount(monkeypatch, tmp_path, ("/", "overlay"), ("/srv", kind))
    assert not mounts.sends_events("/srv/characters")
    assert mounts.sends_events("/home/characters")


@contextmanager
def watching(manager: CharacterManager, settings: Settings) -> Iterator[Watcher]:
    """Watch while the block runs."""
    watcher = Watcher(manager, settings, Metrics())
    task = asyncio.get_running_loop().create_task(watcher.run())
    try:
        yield watcher
    finally:
        task.cancel()


@pytest.mark.parametrize("kind", ["fakeowner", "vmhgfs", "gpfs", "beegfs", "wslfs"])
@pytest.mark.parametrize("folder", ["", "/resources/shared"])
async def test_silent_mount_is_polled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, directory: Path, manager: CharacterManager, kind: str, folder: str
) -> None:
    """On such a mount, or with a folder on one, the watcher looks by itself, and finds the change without an event."""
    mount(monkeypatch, tmp_path, ("/", "ext4"), (f"{directory}{folder}", kind))
    with watching(manager, Settings(directory=directory, watch=True)) as watcher, suppress(asyncio.CancelledError):
        (directory / "ada.py").write_text(character("Ada", "Seen."))
        async with asyncio.timeout(60):
            while prompt(manager) != "Seen.":
                await asyncio.sleep(0.02)
        assert (watcher.status.mode, watcher.status.last_event) == ("poll", None)
