"""Many changes in a short time cause few reloads, and end with the files on the disk."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from charhost.watch import watcher
from tests.conftest import character, prompt
from tests.watch.helpers import Watched, watching


async def test_nested_folders_made_quickly_are_found_each_time(watched: Watched) -> None:
    """A file in folders made a moment before is found, five times in a row (W12)."""
    for number in range(5):
        shutil.rmtree(watched.directory / "extra", ignore_errors=True)
        (watched.directory / "extra" / "deep").mkdir(parents=True)
        (watched.directory / "extra" / "deep" / "tone.py").write_text(f"WORDS = 'deep {number}'\n")
        await watched.equal()
        assert prompt(watched.manager, "Carl") == f"deep {number}"


async def test_saves_in_quick_succession_are_one_reload(directory: Path) -> None:
    """Writes less than `watch_quiet` apart are one reload, of the last of them (promise 23)."""
    async with watching(directory, watch_quiet=2) as watched:
        await watched.armed()
        for number in range(10):
            (directory / "ada.py").write_text(character("Ada", f"Save {number}."))
            await asyncio.sleep(0.02)
        await watched.equal()
        await asyncio.sleep(0.1)
        assert (watched.reports.qsize(), prompt(watched.manager)) == (0, "Save 9.")
        assert watched.manager.current.generation == 2


async def test_each_save_is_at_most_one_reload(watched: Watched) -> None:
    """Five saves one after the other are each served, with at most one reload each (W18)."""
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


async def test_file_that_is_always_rewritten_is_loaded(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is rewritten every 10 ms is loaded after the longest wait, which is 5 s by default (W19)."""
    assert watcher.LONGEST_QUIET == 5
    monkeypatch.setattr(watcher, "LONGEST_QUIET", 1.0)
    async with watching(directory, watch_quiet=0.5) as watched:
        await watched.armed()
        began = asyncio.get_running_loop().time()
        with rewriting(directory / "ada.py"):
            await watched.report()
            assert asyncio.get_running_loop().time() - began > 0.9
        await watched.equal()


@pytest.mark.parametrize("count", [600, pytest.param(6_000, marks=pytest.mark.slow)])
async def test_many_files_at_once_are_all_served(watched: Watched, count: int) -> None:
    """Characters and helpers made in a burst, up to thousands, are served, and are gone once removed (W22)."""
    names = [watched.directory / f"{'' if number % 20 == 0 else '_'}burst{number}.py" for number in range(count)]
    for number, name in enumerate(names):
        name.write_text(character(f"Burst {number}"))
    await watched.equal()
    assert len(watched.manager.current) == count // 20 + 3
    for name in names:
        name.unlink()
    await watched.equal()
    assert len(watched.manager.current) == 3
