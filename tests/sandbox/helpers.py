"""Files that kill, hang or leave their process, and the processes that a test has started."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from charhost.errors import IsolatedLoadFailed
from charhost.loading.snapshot import Limits, take_snapshot
from charhost.sandbox.sandbox import Sandbox
from charhost.sandbox.trial import Trial
from charhost.settings import Settings

DEADLINE = 2.0
GENEROUS = 60


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A value in the environment of every process that a test starts, by which it is found."""
    mark = f"charhost-test-{uuid4().hex}"
    monkeypatch.setenv("MARK_OF_TEST", mark)
    return mark


def marked(mark: str) -> list[int]:
    """Return the processes that were started with *mark*, except zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return sorted(found)


def kill(pid: int, mark: str) -> None:
    """Kill a process that was started with *mark*, and none that was given its number since."""
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            if pid in marked(mark):
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)


async def remaining(mark: str, most: int, patience: float = GENEROUS) -> list[int]:
    """Wait, with a generous limit, until at most *most* processes are left."""
    end = time.monotonic() + patience
    while len(found := marked(mark)) > most and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return found


@asynccontextmanager
async def short_limits(mark: str) -> AsyncIterator[Sandbox]:
    """Return a sandbox; the processes with *mark* that are left at the end of the block are killed."""
    sandbox = Sandbox(Settings(file_deadline=DEADLINE, isolated_processes=16))
    try:
        yield sandbox
    finally:
        for pid in marked(mark):
            kill(pid, mark)
        await asyncio.wait_for(sandbox.close(), GENEROUS)


async def check(sandbox: Sandbox, directory: Path) -> list[tuple[str, str, str]]:
    """Load every file in child processes, and return the file, type and message of each error."""
    snapshot = take_snapshot(directory, Limits(1000, 1 << 24, 1 << 20))
    try:
        await asyncio.wait_for(sandbox.check(snapshot, snapshot.character_paths), GENEROUS)
    except IsolatedLoadFailed as e:
        return [(error.file, error.error_type, error.message) for error in e.errors]
    return []


async def trials_of(directory: Path, **limits: float) -> list[Trial]:
    """Return a trial of every character file."""
    settings = Settings(**{"directory": directory, "file_deadline": 2, "prompt_deadline": 2, **limits})
    sandbox = Sandbox(settings)
    snapshot = take_snapshot(directory, Limits(100, 1 << 20, 1 << 17))
    try:
        return [trial async for trial in sandbox.trials(snapshot, snapshot.character_paths)]
    finally:
        await sandbox.close()


def summary(trials: list[Trial]) -> list[tuple[str, int | None, str] | str]:
    """Return the names of the characters, and the file, line and type of each error."""
    return [r.name if r.error is None else (r.error.file, r.error.line, r.error.error_type) for r in trials]


SLEEPS = "import time\ntime.sleep(1000)"
LEAVES = """import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        time.sleep(1000)
"""
SWARM = """import os, time
for _ in range(40):
    if not os.fork():
        os.setsid()
        time.sleep(1000)
time.sleep(1000)
"""
ORPHANS = """import os, time
for _ in range(40):
    if not os.fork():
        os.setsid()
        if not os.fork():
            time.sleep(1000)
        os._exit(0)
    os.wait()
"""
RUNS_AWAY = """import os
if not os.fork():
    while True:
        os.setsid()
        if os.fork():
            os._exit(0)
"""

NOT_FINISHED = f"it was not finished after {DEADLINE:g} s"
KILLERS = {
    "exit": ("import os\nos._exit(3)", "it ended the process with status 3"),
    "clean exit": ("import os\nos._exit(0)", "it ended the process with status 0"),
    "abort": ("import os\nos.abort()", "the process died of SIGABRT"),
    "segfault": ("import ctypes\nctypes.string_at(0)", "the process died of SIGSEGV"),
    "kills itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "the process died of SIGKILL"),
    "kills its group": ("import os, signal\nos.killpg(0, signal.SIGTERM)", "the process died of SIGTERM"),
    "becomes another program": ("import os\nos.execv('/bin/sh', ['sh', '-c', 'exit 5'])", "with status 5"),
    "closes every descriptor": ("import os\nos.closerange(0, 1000)", "it ended the process with status 70"),
    "memory": ("X = bytearray(10 << 30)", "it needs more than 2,147,483,648 bytes of memory"),
    "loop": ("while True: pass", NOT_FINISHED),
    "stubborn loop": (
        "while True:\n    try:\n        len('')\n    except BaseException:\n        pass",
        NOT_FINISHED,
    ),
    "sleep": (SLEEPS, NOT_FINISHED),
    "stops itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", NOT_FINISHED),
    "silent socket": (
        "import socket\nours, theirs = socket.socketpair()\nours.recv(1)",
        NOT_FINISHED,
    ),
    "fork bomb": (f"import os\nfor _ in range(8): os.fork()\n{SLEEPS}", "it started more than 16 processes"),
    "leaves its group and hangs": (f"{LEAVES}{SLEEPS}", NOT_FINISHED),
    "leaves its group and dies": (f"{LEAVES}os.abort()", "the process died of SIGABRT"),
    "swarm out of the group": (SWARM, "it started more than 16 processes"),
    "swarm of orphans": (ORPHANS, "it started more than 16 processes"),
    "leaves its group again and again": (f"{RUNS_AWAY}{SLEEPS}", NOT_FINISHED),
    "hangs in a check": ("def __getattr__(name):\n    while True: pass", NOT_FINISHED),
}
