"""Runs charhost in a process of its own, as `python -m charhost` does, and writes what its sessions are sent.

A line is written before its frame is sent, and at once: a server that is killed has written all that it has sent.
"""

from __future__ import annotations

import os
import runpy
import time
from collections.abc import Callable
from typing import Any

from charhost.web.sessions.outbox import Outbox

# The variable with the folder into which a server in a process of its own writes.
FOLDER = "EVENT_TAP"


class _TappedSocket:
    """The socket of a session, of which each frame is noted before it is sent."""

    def __init__(self, ws: Any, note: Callable[[str], None]) -> None:
        self._ws = ws
        self._note = note

    async def send_str(self, frame: str) -> None:
        self._note(frame)
        await self._ws.send_str(frame)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ws, name)


def tap(patch: Callable[[Any, str, Any], None], note: Callable[[int, str], None]) -> None:
    """Have each frame noted that is sent to the session of that number."""
    pump, opened = Outbox.pump, iter(range(1 << 62))

    async def tapped(outbox: Outbox, ws: Any) -> None:
        number = next(opened)
        await pump(outbox, _TappedSocket(ws, lambda frame: note(number, frame)))  # type: ignore[arg-type]

    patch(Outbox, "pump", tapped)


def main() -> None:
    path = os.path.join(os.environ[FOLDER], f"{os.getpid()}-{time.time_ns()}")
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(number: int, frame: str) -> None:
        os.write(file, f"{time.time_ns()} {number} {frame}\n".encode())

    tap(setattr, note)
    runpy.run_module("charhost", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
