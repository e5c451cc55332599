"""A reload leaves no module, logger, thread or bytecode of the old set behind."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import weakref
from pathlib import Path
from types import ModuleType

import pytest

from charhost.errors import ReloadRejected
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.settings import Settings
from tests.conftest import character
from tests.reload.helpers import Write, loaded_manager, module_of, sample, until


def traces() -> tuple[int, int, int]:
    """Return the number of modules, loggers and threads, after threads that are ending have ended."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("charhost-")]
    for thread in threads:
        thread.join(60)
    gc.collect()
    gc.collect()  # what the first one finalized
    loggers = [name for name in logging.Logger.manager.loggerDict if name.startswith("characters")]
    return len(sys.modules), len(loggers), len([thread for thread in threads if thread.is_alive()])


def modules_of(manager: CharacterManager) -> list[ModuleType]:
    """Return the modules of the current build."""
    build = module_of(manager.current["Ada"]).rpartition(".")[0]
    return [module for name, module in sys.modules.items() if name == build or name.startswith(f"{build}.")]


async def test_reloads_leave_no_trace(manager: CharacterManager, write: Write) -> None:
    """After fifty full reloads no old module, logger or thread is left (promise 25)."""
    write("resources/tone.py", "import logging\nTONE = logging.getLogger(__name__)")
    write("ada.py", f"from .resources.tone import TONE\n{character('Ada')}")
    await manager.reload_characters()
    before, old = traces(), list[weakref.ref[ModuleType]]()
    for _ in range(50):
        old += [weakref.ref(module) for module in modules_of(manager)]
        await manager.reload_characters()
    assert traces() == before
    assert len(old) == 200  # the package, Ada, the folder and its helper
    assert not any(reference() for reference in old)


@pytest.mark.parametrize(
    "source",
    [
        *("def broken(:", "1 / 0", "raise SystemExit", "import nowhere"),
        pytest.param("while True: pass", marks=pytest.mark.slow),
    ],
)
async def test_refused_reloads_leave_no_trace(directory: Path, write: Write, source: str) -> None:
    """Refused reloads and dry runs leave no modules (promise 25)."""
    manager = await loaded_manager(Settings(directory=directory, file_deadline=0.5))
    write("bob.py", source)
    await manager.reload_characters()
    before = traces()
    for _ in range(5):
        with pytest.raises(ReloadRejected):
            await manager.reload_characters(ReloadRequest(on_error="abort"))
        await manager.reload_characters(ReloadRequest(dry_run=True))
        await manager.reload_characters()
    assert traces() == before


async def test_an_unreadable_file_leaves_no_trace(manager: CharacterManager, directory: Path) -> None:
    """A file that cannot be read keeps no modules of old reloads alive (promise 25)."""
    (directory / "bob.py").symlink_to("nowhere")
    await manager.reload_characters()
    before = traces()
    for _ in range(5):
        await manager.reload_characters()
    assert traces() == before


async def test_old_modules_go_with_their_last_reference(manager: CharacterManager) -> None:
    """Old modules stay as long as one of their characters is referenced (promise 25)."""
    held = manager.current["Ada"]
    name = module_of(held)
    await manager.reload_characters()
    assert name in sys.modules
    del held
    await until(lambda: name not in sys.modules)


async def test_no_bytecode_is_written(
    manager: CharacterManager, directory: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload writes nothing into the directory, also where Python writes bytecode (promise 27)."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write("resources/tone.py", "TONE = 'calm'")
    write("ada.py", f"from .resources.tone import TONE\n{character('Ada')}")
    assert (await manager.reload_characters()).errors == ()
    assert sorted(os.listdir(directory)) == ["ada.py", "resources"]
    assert os.listdir(directory / "resources") == ["tone.py"]


async def test_builds_alive_counts_referenced_builds(manager: CharacterManager) -> None:
    """An old build is counted as long as one of its characters is referenced."""
    held = manager.current["Ada"]
    await manager.reload_characters()
    gc.collect()
    assert sample(manager._metrics.registry, "charhost_builds_alive") == 2
    del held
    await until(lambda: sample(manager._metrics.registry, "charhost_builds_alive") == 1)
