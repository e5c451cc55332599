"""`charhost check` on a directory of files that crash: each is one finding, and no process is left."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import character
from tests.e2e.conftest import ENVIRONMENT, PATIENCE, output
from tests.sandbox.helpers import mark, remaining

__all__ = ["mark"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="rehearsals are for Linux only")

CHECK = (sys.executable, "-m", "charhost", "check")

CULPRITS = {
    "crash.py": ("import ctypes\nctypes.string_at(0)", "Crash", "the process died of SIGSEGV"),
    "exit.py": ("import os\nos._exit(0)", "Crash", "it ended the process with status 0"),
    "fork.py": ("import os, time\nif not os.fork():\n    time.sleep(1000)\n", "Crash", "it left a process running"),
    "gone.py": (
        "import os, time\nif not os.fork():\n    os.setsid()\n    time.sleep(1000)\nos._exit(1)",
        "Crash",
        "it ended the process with status 1",
    ),
    "loop.py": ("while True:\n    pass", "LoadTimeout", "not finished after 0.5 s"),
    "memory.py": ("X = bytearray(10 << 30)", "Crash", "it needs more than 2,147,483,648 bytes of memory"),
}


async def test_each_culprit_is_one_finding(directory: Path, write: Callable[[str, str], Path], mark: str) -> None:
    """A segfault, an exit, a 10 GB allocation, a loop, a child that outlives its parent: all are named in one run."""
    for file, (source, _, _) in CULPRITS.items():
        write(file, character(file.title()) + source)
    write("zoe.py", character("Zoe"))
    status, out, err = await output(*CHECK, str(directory), "--json", MARK_OF_TEST=mark, CHARHOST_FILE_DEADLINE="0.5")
    assert (status, err) == (1, "")
    report: dict[str, Any] = json.loads(out)
    found = {error["file"]: (error["error_type"], error["message"]) for error in report["errors"]}
    assert [error["file"] for error in report["errors"]] == list(CULPRITS)
    for file, (_, error_type, message) in CULPRITS.items():
        assert found[file][0] == error_type
        assert found[file][1].endswith(message)
    assert [entry["name"] for entry in report["characters"]] == ["Ada", "Zoe"]
    assert await remaining(mark, 0, patience=0) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
async def test_interrupted_check_leaves_nothing_running(
    directory: Path, write: Callable[[str, str], Path], mark: str, tmp_path: Path, number: int, status: int
) -> None:
    """Ctrl-C, or the death of the command, also ends the files that it was busy with."""
    begun = tmp_path / "begun"
    write("ada.py", f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(1000)")
    environment = ENVIRONMENT | {"MARK_OF_TEST": mark, "CHARHOST_FILE_DEADLINE": "1000"}
    process = await asyncio.create_subprocess_exec(
        *CHECK, str(directory), env=environment, stderr=asyncio.subprocess.PIPE
    )
    while not begun.exists():
        await asyncio.sleep(0.02)
    process.send_signal(number)
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert (process.returncode, b"Traceback" in err) == (status, False)
    assert await remaining(mark, 0) == []


async def test_command_ends_with_the_status_through_a_pipe(directory: Path) -> None:
    """The status and the whole output arrive, though the process ends at once."""
    status, out, err = await output(*CHECK, str(directory))
    assert (status, out.count("would serve"), err) == (0, 1, "")
