"""The processes that a file has started."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from charhost.sandbox.descendants import MARK, children, descendants, kill_marked

# A shell with a child: the shell itself waits for it.
FAMILY = ["sh", "-c", "sleep 1000 & echo; wait"]


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child, both of them marked."""
    process = subprocess.Popen(FAMILY, stdout=subprocess.PIPE, env={**os.environ, MARK: "family"})
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    for one in (*descendants(process.pid), process.pid):
        if process.poll() is None:
            os.kill(one, 9)
    process.wait(60)
    process.stdout.close()


def test_descendants_are_found(family: subprocess.Popen[bytes]) -> None:
    """Children and their children are found, from any of their ancestors."""
    (child,) = children(family.pid)
    assert {family.pid, child} <= set(descendants(os.getpid()))
    assert list(descendants(child)) == []


def test_ended_process_has_no_children() -> None:
    """A process that has ended is no error."""
    process = subprocess.Popen(["true"])
    process.wait()
    assert list(children(process.pid)) == []


async def test_marked_processes_are_killed(family: subprocess.Popen[bytes]) -> None:
    """All processes with the mark end, and none with another one."""
    await kill_marked("stranger")
    assert family.poll() is None
    await kill_marked("family")
    assert family.wait(60) == -9
    assert family.stdout is not None
    assert family.stdout.read() == b""  # its child has ended, too
