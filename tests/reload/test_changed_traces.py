"""Reloads with `scope: "changed"` keep few old module spaces."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import weakref

import pytest

from charhost.reload.manager import CharacterManager
from charhost.settings import Settings
from tests.conftest import character
from tests.reload.helpers import Write, module_of
from tests.reload.reloader import Reloader


@pytest.mark.parametrize("edits", [50, pytest.param(1000, marks=pytest.mark.slow)])
async def test_many_edits_of_one_character_leave_no_trace(settings: Settings, write: Write, edits: int) -> None:
    """After many edits of one of twenty characters the others are the same and no old build is left (promise 25)."""
    for number in range(20):
        write(f"c{number:02}.py", character(f"C{number:02}"))
    reloader = Reloader(settings)
    await reloader.changed()
    before, old = reloader.manager.current, []
    for number in range(edits):
        old.append(weakref.ref(reloader.manager.current["C07"].prompt_generator))
        write("c07.py", character("C07", f"Edit {number}."))
        assert (await reloader.changed()).changes.modified == ("C07",)
    await alive(reloader, 2)
    assert [name for name in before if reloader.manager.current[name] is not before[name]] == ["C07"]
    assert spaces(reloader.manager) == spaces_left(reloader.manager)
    assert [ref() for ref in old[1:]] == [None] * (edits - 1)


async def test_modules_of_a_carried_set_are_bounded(settings: Settings, write: Write) -> None:
    """Edits of each character in turn leave at most one old module space for each of them (promise 25)."""
    for number in range(5):
        write(f"c{number}.py", character(f"C{number}"))
    reloader = Reloader(settings)
    await reloader.changed()
    for number in range(30):
        write(f"c{number % 5}.py", character(f"C{number % 5}", f"Edit {number}."))
        await reloader.changed()
    await alive(reloader, 6)
    assert len(spaces(reloader.manager)) == 6


async def alive(reloader: Reloader, builds: int) -> None:
    """Wait until no more than *builds* builds are referenced."""
    async with asyncio.timeout(60):
        while reloader.value("builds_alive") != builds:
            gc.collect()
            await asyncio.sleep(0.01)
    gc.collect()


def spaces(manager: CharacterManager) -> set[str]:
    """Return the module spaces of the current set: `characters.b7`, …"""
    modules = map(module_of, manager.current.values())
    return {".".join(module.split(".")[:2]) for module in modules}


def spaces_left(manager: CharacterManager) -> set[str]:
    """Return the module spaces with files of the current directory that are still in `sys.modules`."""
    files = [(name, getattr(module, "__file__", None)) for name, module in sys.modules.items()]
    here = [name for name, file in files if file and file.startswith(f"{manager.current.directory}/")]
    return {".".join(name.split(".")[:2]) for name in here if re.match(r"characters\.b\d+\.", name)}
