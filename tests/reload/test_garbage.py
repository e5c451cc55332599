"""Garbage collection is off during a build, and the modules of a build are collected with its characters."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from pathlib import Path

import pytest

from charhost.metrics import Metrics
from charhost.reload.loader import Loader
from charhost.reload.manager import CharacterManager
from charhost.settings import Settings
from tests.conftest import character
from tests.reload.helpers import Write, build, loader_of, module_of


async def retired(loader: Loader) -> bool:
    """Return whether no build is referenced any more; the threads of the pool end a moment later."""
    for _ in range(400):
        gc.collect()
        if loader._context.builds_alive == 0:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_collector_rests_during_a_build(directory: Path, write: Write) -> None:
    """Garbage collection is off while files are executed, and on again afterwards."""
    write("ada.py", character() + "import gc\nINSTRUCTIONS = {'collecting': gc.isenabled()}")
    assert (await build(directory)).characters["Ada"].instructions == {"collecting": False}
    assert gc.isenabled()


async def test_collector_works_again_after_a_cancelled_build(directory: Path, write: Write) -> None:
    """A cancelled build turns garbage collection on again."""
    write("bob.py", "import sys\nsys.begun.set()\nwhile True: pass")
    begun = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "begun", begun, raising=False)
        task = asyncio.create_task(build(directory))
        await asyncio.to_thread(begun.wait, 60)
        assert not gc.isenabled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert gc.isenabled()


async def test_collector_that_was_off_stays_off(directory: Path) -> None:
    """Garbage collection that was off before a build stays off."""
    gc.disable()
    try:
        await build(directory)
        assert not gc.isenabled()
    finally:
        gc.enable()


async def test_build_lives_as_long_as_a_character_of_it(directory: Path) -> None:
    """The modules of a build exist exactly as long as one of its characters is referenced (promise 25)."""
    loader = loader_of(directory)
    ada = (await build(directory, loader)).characters["Ada"]
    gc.collect()
    prefix = module_of(ada)
    assert (loader._context.builds_alive, prefix in sys.modules) == (1, True)
    del ada
    assert await retired(loader)
    assert prefix not in sys.modules


async def test_a_retired_set_is_freed_soon(directory: Path, write: Write) -> None:
    """The classes of a set that serves no more go within moments, though nothing else makes the collector run."""
    manager = CharacterManager(Settings(directory=directory), Metrics())
    await manager.reload_characters()
    old = weakref.ref(manager.current["Ada"].prompt_generator)
    gc.collect()  # it is young no more
    gc.disable()
    try:
        write("ada.py", character("Ada", "Be brief."))
        await manager.reload_characters()
        async with asyncio.timeout(60):
            while old() is not None:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
        await manager.close(5)


# A retired file whose thread goes on, and changes what the file holds; and a collection that meets it often.
CHURN = """
import asyncio, sys, threading, types
from charhost.reload.garbage import Garbage

sys.setswitchinterval(1e-5)
module = types.ModuleType("churn")
exec('''
NOTES = {}
def churn():
    while True:
        NOTES.clear()
        for number in range(50):
            NOTES[number] = []
''', vars(module))
threading.Thread(target=module.churn, daemon=True).start()

async def collect():
    Garbage().collector(10_000)([module] * 5_000)
    await asyncio.sleep(1)

asyncio.run(collect())
"""


async def test_a_thread_that_changes_its_module_does_no_harm() -> None:
    """A thread of a retired file that changes its namespace meanwhile does not end the process."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHURN)
    assert await asyncio.wait_for(process.wait(), 60) == 0


@pytest.mark.parametrize("source", ["1 / 0", "x = (", "while True: pass", "METADATA = 5"])
async def test_errors_do_not_hold_their_build(directory: Path, write: Write, source: str) -> None:
    """An error that is kept in a report keeps no modules alive (promise 25)."""
    write("bob.py", source)
    loader = loader_of(directory, file_deadline=1)
    errors = (await build(directory, loader)).errors
    assert await retired(loader)
    assert len(errors) == 1
