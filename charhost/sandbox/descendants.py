"""The processes that a file has started, however far they have gone from the one that loaded it."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# The variable of the environment that all of one fork server's processes have, in the session or group that they chose.
MARK = "SANDBOX_OF_CHARHOST"

_PAUSE = 0.01
# Seconds for killed processes to end: one that waits for a disk does not.
_PATIENCE = 10.0


def descendants(process: int) -> Iterator[int]:
    """Yield the children of a process, then their children, and so on, as far as /proc shows them at the moment."""
    found = [process]
    for one in found:
        yield from (new := list(children(one)))
        found += new


def children(process: int) -> Iterator[int]:
    with suppress(OSError):  # it has ended
        for thread in os.listdir(f"/proc/{process}/task"):
            yield from map(int, Path(f"/proc/{process}/task/{thread}/children").read_text().split())


async def kill_marked(mark: str) -> None:
    """Kill all processes that were started with *mark*, for those whose ancestor died before it could."""
    end, rounds_without = time.monotonic() + _PATIENCE, 0
    # Twice without one: a process that replaces itself by a program has no environment for a moment.
    while rounds_without < 2 and time.monotonic() < end:
        processes = list(map(int, filter(str.isdigit, os.listdir("/proc"))))
        rounds_without = 0 if sum(_killed(process, mark) for process in processes) else rounds_without + 1
        await asyncio.sleep(_PAUSE)


def _killed(process: int, mark: str) -> bool:
    # The number may be given to another process at any time: it is held before it is looked at.
    try:
        held = os.pidfd_open(process)
    except OSError:
        return False
    try:
        if f"{MARK}={mark}\0".encode() not in Path(f"/proc/{process}/environ").read_bytes():
            return False
        signal.pidfd_send_signal(held, signal.SIGKILL)
        return True
    except OSError:  # it has ended, or belongs to another user
        return False
    finally:
        os.close(held)
