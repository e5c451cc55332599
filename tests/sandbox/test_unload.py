"""A trial ends with `on_unload`, in the child process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from charhost.sandbox.sandbox import Sandbox
from charhost.settings import Settings
from tests.conftest import character
from tests.reload.helpers import Write
from tests.sandbox.helpers import check, summary, trials_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is for Linux only")

CRASHES = "\ndef on_unload():\n    import os; os._exit(3)\n"
HANGS = "\ndef on_unload():\n    while True: pass\n"
RAISES = "\ndef on_unload():\n    1 / 0\n"


async def test_error_is_one_of_the_file(directory: Path, write: Write) -> None:
    """An `on_unload` that raises, hangs or ends the process is an error of its file, and the next file is tried."""
    write("bob.py", character("Bob") + RAISES)
    write("cyd.py", character("Cyd") + HANGS)
    write("dan.py", character("Dan") + CRASHES)
    write("eve.py", character("Eve"))
    trials = await trials_of(directory)
    line = len(character("Bob").splitlines()) + 3
    assert summary(trials) == [
        "Ada",
        ("bob.py", line, "ZeroDivisionError"),
        ("cyd.py", line, "LoadTimeout"),
        ("dan.py", None, "Crash"),
        "Eve",
    ]
    assert trials[1].error is not None
    assert trials[1].error.message == "on_unload failed: division by zero"
    assert trials[3].error is not None
    assert trials[3].error.message == "unloaded in a child process, it ended the process with status 3"


async def test_what_it_ends_is_not_left(directory: Path, write: Write) -> None:
    """A process that the file starts and ends in `on_unload` is no process that it left running."""
    source = (
        "import subprocess\nP = subprocess.Popen(['sleep', '1000'])\ndef on_unload():\n    P.kill()\n    P.wait()\n"
    )
    write("ada.py", source + character("Ada"))
    assert summary(await trials_of(directory)) == ["Ada"]


async def test_a_file_that_imports_another_finds_it_loaded(directory: Path, write: Write) -> None:
    """A file that was unloaded is executed again for the one that imports it."""
    write("ada.py", "IS_UP = [True]\ndef on_unload():\n    IS_UP.clear()\n" + character("Ada"))
    write("bob.py", "from .ada import IS_UP\nfrom . import ada\nassert IS_UP and ada.IS_UP\n" + character("Bob"))
    write("eve.py", "from . import ada\nassert ada.IS_UP\n" + character("Eve"))
    assert summary(await trials_of(directory)) == ["Ada", "Bob", "Eve"]


async def test_isolated_check_refuses_what_costs_the_process(directory: Path, write: Write) -> None:
    """Before a reload only a crash and a hang are errors; one that raises costs a server a line of its log."""
    sandbox = Sandbox(Settings(directory=directory, file_deadline=2))
    write("bob.py", character("Bob") + RAISES)
    assert await check(sandbox, directory) == []
    write("cyd.py", character("Cyd") + HANGS)
    write("dan.py", character("Dan") + CRASHES)
    assert [(file, kind) for file, kind, _ in await check(sandbox, directory)] == [
        ("cyd.py", "Crash"),
        ("dan.py", "Crash"),
    ]
    await sandbox.close()
