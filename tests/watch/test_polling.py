"""Changes without an event are found by the timer, or by polling."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from charhost.loading import snapshot
from charhost.watch import event_source, watcher
from tests.conftest import character, prompt
from tests.watch.edits import EDITS, Edit, add_file, restore_time, write_in_place
from tests.watch.helpers import eventually, watching


@pytest.mark.parametrize("edit", EDITS)
async def test_set_follows_without_events(directory: Path, monkeypatch: pytest.MonkeyPatch, edit: Edit) -> None:
    """With `watch_poll` each kind of edit is found without an event (promise 21)."""
    monkeypatch.setattr(watcher, "_POLL", 0.02)
    async with watching(directory, watch_poll=True) as watched:
        await eventually(lambda: watched.watcher.status.up)
        edit(directory)
        await watched.equal()
        assert (watched.watcher.status.mode, watched.watcher.status.last_event) == ("poll", None)


async def test_target_of_a_linked_file_is_compared(tmp_path: Path, directory: Path) -> None:
    """An edit of the file outside to which a link leads has no event and is found by the timer (W10)."""
    target = tmp_path / "shared.py"
    target.write_text(character("Eve", "One."))
    (directory / "eve.py").symlink_to(target)
    async with watching(directory, watch_interval=0.3) as watched:
        await watched.armed()
        target.write_text(character("Eve", "Two."))
        await watched.equal()
        assert prompt(watched.manager, "Eve") == "Two."


@pytest.mark.usefixtures("without_events")
async def test_missed_event_is_found_by_comparison(directory: Path) -> None:
    """A change without an event is found by the timer and counted as drift (promise 24, W23)."""
    async with watching(directory, watch_interval=0.2) as watched:
        write_in_place(directory)
        await watched.equal()
        add_file(directory)
        await watched.equal()
        await eventually(lambda: watched.compared("drift"))


@pytest.mark.usefixtures("without_events")
async def test_nothing_is_read_between_comparisons(directory: Path) -> None:
    """Without an event no file is loaded before the timer."""
    async with watching(directory) as watched:
        await eventually(lambda: watched.watcher.status.up)
        write_in_place(directory)
        await asyncio.sleep(0.2)
        assert watched.reports.empty()


@pytest.mark.usefixtures("without_events")
async def test_three_missed_events_turn_polling_on(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After three changes without an event the watcher polls, and logs the reason (promise 21)."""
    monkeypatch.setattr(watcher, "_LATE_EVENT", 0.01)
    async with watching(directory, watch_interval=0.1) as watched:
        await eventually(lambda: watched.watcher.status.up)
        for number in range(3):
            (directory / "ada.py").write_text(character("Ada", f"Save {number}."))
            await watched.equal()
        await eventually(lambda: watched.watcher.status.mode == "poll")
    assert "polling the character directory for changes: 3 changes had no event" in caplog.text


async def test_comparison_reads_content(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer finds an edit that leaves every field of the stat unchanged (promise 24, W21)."""
    monkeypatch.setattr(snapshot, "_stamp", lambda status: (0, 0, 0, 0, 0))
    monkeypatch.setattr(snapshot, "_SETTLED", -(10**18))
    async with watching(directory, watch_interval=0.3) as watched:
        await watched.armed()
        restore_time(directory)
        await watched.equal()
        assert prompt(watched.manager) == "Be dull."


async def test_failed_notifier_turns_polling_on(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where events cannot be had the watcher polls, and logs the reason (promise 21, W25)."""

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


async def test_file_system_without_events_is_polled(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file system that sends no events is polled from the start."""
    monkeypatch.setattr(watcher, "sends_events", lambda path: False)
    async with watching(directory) as watched:
        await eventually(lambda: watched.watcher.status.up)
        assert watched.watcher.status.mode == "poll"
    assert "polling the character directory for changes: its file system sends no events" in caplog.text
