"""Signals of the process: SIGHUP reloads, SIGUSR1 logs the state, the second SIGTERM or SIGINT ends it at once."""

import asyncio
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from charhost.errors import ReloadRefused
from charhost.reload.manager import CharacterManager
from charhost.text import Lines
from charhost.web.keys import SETS

log = logging.getLogger("charhost.web")


async def signals(app: web.Application) -> AsyncIterator[None]:
    """Handle the signals of the process, which the application must have for itself, until it stops."""
    loop, handler = asyncio.get_running_loop(), _Handler(app)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handler.stop)
    loop.add_signal_handler(signal.SIGUSR1, handler.log_state)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        loop.add_signal_handler(signal.SIGHUP, handler.hang_up)
    yield
    for number in (signal.SIGHUP, signal.SIGUSR1):
        loop.remove_signal_handler(number)


class _Handler:
    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._had_terminal = _has_terminal()
        self._reloads: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Stop in order; the next signal has its default effect, which is immediate."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # else its end would make SIGINT a KeyboardInterrupt again
            signal.signal(number, signal.SIG_DFL)
        raise web.GracefulExit

    def hang_up(self) -> None:
        """Reload all sets, each from its current directory, unless the server's terminal has gone."""
        if self._had_terminal and not _has_terminal():
            log.info("the terminal has gone: stopping")
            self.stop()
        for named in self._app[SETS]:
            task = asyncio.create_task(_reload(named.manager))
            self._reloads.add(task)
            task.add_done_callback(self._reloads.discard)

    def log_state(self) -> None:
        from charhost.web.monitoring import status_of  # a server starts without it

        for named in self._app[SETS]:
            log.info("status: %s", status_of(self._app, named).model_dump_json())
        log.info("stacks of all threads:\n%s", Lines("\n".join(_stacks())))


async def _reload(manager: CharacterManager) -> None:
    try:
        await manager.reload_characters(trigger="signal")
    except ReloadRefused as e:
        log.warning("SIGHUP: %s", e)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _stacks() -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        yield f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame)).rstrip()}"
