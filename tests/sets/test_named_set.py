"""One character set of a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from charhost.metrics import Metrics
from charhost.reload.manager import CharacterManager
from charhost.sets.named_set import NamedSet
from charhost.settings import Settings


def named_set(settings: Settings, *, is_watched: bool = False) -> NamedSet:
    metrics = Metrics()
    return NamedSet(CharacterManager(settings, metrics), settings, metrics, is_watched=is_watched)


async def test_start_loads_the_directory(settings: Settings) -> None:
    """After the start the characters serve, the first one by default."""
    named = named_set(settings)
    assert named.default_character is None
    await named.start()
    assert named.default_character is named.manager.current["Ada"]


async def test_start_without_a_character_leaves_the_set_empty(
    directory: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A directory from which nothing can be loaded is a warning, and the set waits for a reload."""
    (directory / "ada.py").write_text("1/0")
    named = named_set(settings)
    await named.start()
    assert not named.manager.current
    assert "no character is served until a reload succeeds" in caplog.text


async def test_watcher_runs_as_long_as_it_is_wanted(settings: Settings) -> None:
    """A set has one watcher at most, and none after `unwatch`."""
    named = named_set(settings, is_watched=True)
    await named.start()
    named.watch()
    watcher = named.watcher
    named.watch()
    assert watcher is not None
    assert named.watcher is watcher
    await named.unwatch()
    assert named.watcher is None


async def test_set_that_is_not_watched_has_no_watcher(settings: Settings) -> None:
    """`watch` starts nothing for a set that is reloaded by hand."""
    named = named_set(settings)
    named.watch()
    assert named.watcher is None
