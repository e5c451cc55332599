"""Metrics, status and log show whether the watcher works."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from watchfiles import watch

from charhost.loading.snapshot import Snapshot
from charhost.watch import event_source, watcher
from tests.watch.edits import add_file, write_in_place
from tests.watch.helpers import Watched, eventually, watching


async def test_missing_directory_is_down_with_a_reason(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """Without its directory the set still serves, `watcher_up` is 0 and the log has the reason (promises 11, 21)."""
    before = watched.manager.current
    watched.directory.rename(watched.directory.with_name("away"))
    await eventually(lambda: watched.value("watcher_up") == 0)
    assert (watched.watcher.status.up, watched.manager.current) == (False, before)
    assert f"not watching the character directory: Directory not found: {watched.directory}" in caplog.text


async def test_missing_directory_is_logged_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """A directory that goes and comes back is logged in one line each, however many attempts fail (promise 21)."""
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


async def test_notifier_that_ends_is_replaced(
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


async def test_mounted_file_is_warned_about(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is a mount of its own, and so may never change, is warned about in the log (W24)."""
    monkeypatch.setattr(watcher, "mounted_files", lambda path: [f"{path}/ada.py"])
    async with watching(directory) as watched:
        await eventually(lambda: watched.watcher.status.up)
    assert f"{directory}/ada.py is a mount of its own" in caplog.text


async def test_crash_is_logged_and_counted(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A crash of the watcher is logged and counted, and the watcher goes on (promises 21, 22)."""
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


async def test_status_shows_the_state_of_the_watcher(watched: Watched) -> None:
    """The status has whether the watcher is up, its mode, and the times of the last event and comparison."""
    before = watched.watcher.status
    write_in_place(watched.directory)
    await watched.equal()
    after = watched.watcher.status
    assert (after.up, after.mode, after.held, after.restarts) == (True, "events", False, 0)
    assert (after.last_event or "") > (before.last_event or "")
    assert (after.last_comparison or "") > (before.last_comparison or "")


async def test_comparisons_are_counted_by_result(watched: Watched) -> None:
    """A reload that is applied counts as applied, and a directory that is refused as rejected."""
    write_in_place(watched.directory)
    await watched.equal()
    await eventually(lambda: watched.compared("applied") == 1)
    for file in watched.directory.glob("*.py"):
        file.unlink()
    await eventually(lambda: watched.compared("rejected"))
    assert watched.value("watcher_up") == 1
