"""Watchdog: reports an event loop that stands still, and ends the server where it will be started again."""

import asyncio
import faulthandler
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from charhost.settings import is_supervised, notify_address
from charhost.web.keys import SETTINGS

_PATS_PER_DEADLINE = 4
_STDERR = 2  # the descriptor: a file may have replaced sys.stderr


async def watchdog(app: web.Application) -> AsyncIterator[None]:
    """Watch the event loop of the process, which the application must have for itself, until it stops.

    The stacks are written by a thread of `faulthandler`, which needs no interpreter lock: code of a file that never
    releases the lock stops every other thread.
    """
    seconds = app[SETTINGS].watchdog
    patting = asyncio.create_task(_pat(seconds)) if seconds else None
    yield
    if patting is not None:
        patting.cancel()
        faulthandler.cancel_dump_traceback_later()


async def _pat(seconds: float) -> None:
    while True:
        faulthandler.dump_traceback_later(seconds, exit=is_supervised(), file=_STDERR)
        _notify(b"WATCHDOG=1")
        await asyncio.sleep(seconds / _PATS_PER_DEADLINE)


def _notify(state: bytes) -> None:
    """Send a state to the service manager, if there is one (sd_notify(3))."""
    if address := notify_address():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)
            with suppress(OSError):  # a manager that does not read; it will notice by itself
                manager.sendto(state, address)
