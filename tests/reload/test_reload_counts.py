"""What a reload does, in counts that do not depend on the machine: files opened, compiled and collected."""

from __future__ import annotations

import asyncio
import builtins
import gc
import os
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from charhost.loading import snapshot, source_file
from charhost.reload.garbage import Garbage
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from tests.conftest import character
from tests.reload.helpers import Write
from tests.reload.reloader import Reloader

HOUR = 3600 * 1_000_000_000


class Calls(list[str]):
    """The paths that a function of the system was called with."""

    def of(self, function: Callable[..., Any], position: int) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            self.append(os.path.basename(arguments[position]))
            return function(*arguments, **options)

        return called

    def taken(self) -> list[str]:
        """Return the paths since the last time."""
        found = list(self)
        self.clear()
        return found


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The files that are compiled."""
    calls = Calls()
    monkeypatch.setattr(source_file, "compile", calls.of(builtins.compile, 1), raising=False)
    return calls


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The files that a snapshot opens, an hour after they were written."""
    calls = Calls()
    monkeypatch.setattr(snapshot, "time", SimpleNamespace(time_ns=lambda: time.time_ns() + HOUR))
    monkeypatch.setattr(os, "open", calls.of(os.open, 0))
    return calls


class Entry:
    """An entry of a folder that notes when its state is asked for."""

    def __init__(self, entry: os.DirEntry[str], looks: Calls) -> None:
        self._entry = entry
        self.stat = partial(looks.of(lambda _: entry.stat(), 0), entry.path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The files whose state is asked for."""
    calls, scandir = Calls(), os.scandir

    @contextmanager
    def scanned(folder: str) -> Iterator[list[Entry]]:
        with scandir(folder) as entries:
            yield [Entry(entry, calls) for entry in entries]

    monkeypatch.setattr(os, "scandir", scanned)
    return calls


@pytest.fixture
def reloader(settings: Settings, write: Write) -> Reloader:
    """A manager of a directory with Ada, Bob and Cyd."""
    for name in ("Ada", "Bob", "Cyd"):
        write(f"{name.lower()}.py", character(name))
    return Reloader(settings)


async def test_a_file_is_compiled_once(reloader: Reloader, compiled: Calls) -> None:
    """A file that did not change is executed again, and not compiled again."""
    await reloader.manager.reload_characters()
    assert sorted(compiled.taken()) == ["ada.py", "bob.py", "cyd.py"]
    await reloader.manager.reload_characters()
    assert compiled == []


async def test_only_an_edited_file_is_opened_and_compiled(
    reloader: Reloader, compiled: Calls, opened: Calls, write: Write
) -> None:
    """Of three files with old stats the one that was edited is opened and compiled."""
    await reloader.changed()
    assert sorted(opened.taken()) == sorted(compiled.taken()) == ["ada.py", "bob.py", "cyd.py"]
    write("bob.py", character("Bob", "Edited."))
    await reloader.changed()
    assert (opened.taken(), compiled.taken()) == (["bob.py"], ["bob.py"])
    await reloader.changed()
    assert (opened, compiled) == ([], [])


async def test_each_file_is_looked_at_once(reloader: Reloader, opened: Calls, looked_at: Calls) -> None:
    """A reload asks for the state of each file once, and opens those only that it does not know."""
    for known in (False, True):
        await reloader.changed()
        assert sorted(looked_at.taken()) == ["ada.py", "bob.py", "cyd.py"]
        assert len(opened.taken()) == (0 if known else 3)


async def test_a_file_is_read_at_once(reloader: Reloader, opened: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file takes two reads: all of it, and the end."""
    reads: Counter[str] = Counter()
    read = os.read

    def counted(descriptor: int, most: int) -> bytes:
        reads["read"] += 1
        return read(descriptor, most)

    monkeypatch.setattr(os, "read", counted)
    await reloader.changed()
    assert reads["read"] == 2 * len(opened) == 6


async def test_a_directory_that_served_before_is_not_compiled_again(
    reloader: Reloader, compiled: Calls, opened: Calls, tmp_path: Path
) -> None:
    """Back from another directory no file is opened or compiled."""
    (other := tmp_path / "elsewhere").mkdir()
    (other / "dan.py").write_text(character("Dan"))
    await reloader.manager.reload_characters()
    await reloader.manager.reload_characters(ReloadRequest(directory=str(other)))
    compiled.taken(), opened.taken()
    report = await reloader.manager.reload_characters(ReloadRequest(directory="default"))
    assert report.changes.added == ("Ada", "Bob", "Cyd")
    assert (opened, compiled) == ([], [])


async def test_the_code_of_few_directories_is_kept(reloader: Reloader, tmp_path: Path) -> None:
    """Of five directories the snapshots of the last four are kept."""
    await reloader.manager.reload_characters()
    for number in range(4):
        (other := tmp_path / f"elsewhere{number}").mkdir()
        (other / "dan.py").write_text(character("Dan"))
        await reloader.manager.reload_characters(ReloadRequest(directory=str(other)))
    assert len(reloader.manager._loader._snapshots) == 4


async def test_retired_set_is_collected_without_a_look_at_all_objects() -> None:
    """The modules of a retired set are freed by collections of the youngest generation, each of a few of them."""
    collections = await _collections(600, [_cycle() for _ in range(600)])
    assert [collected for generation, collected in collections if generation == 2] == []
    assert max(collected for _, collected in collections) < 600


async def test_modules_that_hold_each_other_are_collected_once() -> None:
    """Modules that refer to each other are freed by one collection of everything."""
    collections = await _collections(600, _tangle(600))
    assert sum(generation == 2 and collected >= 600 for generation, collected in collections) == 1


async def test_a_file_that_leaks_a_module_at_each_reload_costs_few_collections() -> None:
    """A module that stays, as the whole of its set, is no reason to look at all objects after each reload."""
    garbage, kept, last = Garbage(), [_cycle() for _ in range(120)], _cycle()
    gone, looks = weakref.ref(last), list[int]()
    looked = partial(_note_full, looks)
    gc.disable()  # it would look at all objects by itself
    gc.callbacks.append(looked)
    try:
        for module in kept:
            garbage.collector(1)([module])
        garbage.collector(1)([last])
        del last
        async with asyncio.timeout(60):
            while gone() is not None:  # the others were looked at before it
                await asyncio.sleep(0.01)
    finally:
        gc.callbacks.remove(looked)
        gc.enable()
    assert len(looks) == 2


def _note_full(looks: list[int], phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2:
        looks.append(info["collected"])


async def _collections(size: int, modules: list[ModuleType]) -> list[tuple[int, int]]:
    """Retire *modules*; return the generations that were collected until they are gone, and how much was freed."""
    gone, collections = [weakref.ref(module) for module in modules], list[tuple[int, int]]()
    Garbage().collector(size)(modules.copy())
    modules.clear()

    def count(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            collections.append((info["generation"], info["collected"]))

    gc.callbacks.append(count)
    try:
        async with asyncio.timeout(60):
            while any(reference() for reference in gone):
                await asyncio.sleep(0.01)
    finally:
        gc.callbacks.remove(count)
    return collections


def _cycle() -> ModuleType:
    module = ModuleType("module")
    exec("class Class:\n    def method(self):\n        return Class", vars(module))
    vars(module)["itself"] = module
    return module


def _tangle(count: int) -> list[ModuleType]:
    modules = [_cycle() for _ in range(count)]
    vars(modules[0])["classes"] = [vars(module)["Class"] for module in modules]
    for module in modules:
        vars(module)["first"] = modules[0]
    return modules
