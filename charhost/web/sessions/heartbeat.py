"""Heartbeat: pings to one client, and the end of a session whose client returns no pong."""

import asyncio
import logging
import math
import socket
import struct
import sys
from dataclasses import dataclass

from aiohttp import web

from charhost.web.sessions.close_message import CloseMessage
from charhost.web.sessions.outbox import STALLED_READER_LIMIT
from charhost.web.sessions.session import Session

log = logging.getLogger("charhost.sessions")

PING_INTERVAL = 20.0
# Where `struct tcp_info` of Linux has the milliseconds since the last data.
_LAST_DATA_RECEIVED = 52
_SILENT = CloseMessage(1011, "The client answered no ping", "heartbeat")


@dataclass(eq=False)
class Heartbeat:
    """Pings one client, and closes its session after *timeout* seconds without a sign of it.

    Signs are everything that it sends, and each frame that it takes while others wait.
    """

    _session: Session
    _timeout: float

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.hear()
        self._schedule()

    def hear(self) -> None:
        self._heard = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()

    def _schedule(self) -> None:
        self._timer = self._loop.call_later(min(PING_INTERVAL, self._timeout / 3, self._left), self._beat)

    def _beat(self) -> None:
        if self._left <= 0:  # a long message is no sign before its end
            self._heard = max(self._heard, self._loop.time() - _seconds_since_data(self._session.request))
        if self._left > 0:
            self._session.outbox.ping()
            self._schedule()
            return
        silence = self._loop.time() - self._heard
        log.info("a client of character %s answered no ping for %.3g s", self._session.character.name, silence)
        self._session.closing.close(_SILENT, self._session.close_grace)

    @property
    def _left(self) -> float:
        outbox = self._session.outbox
        patience = min(self._timeout, STALLED_READER_LIMIT) if outbox.is_waiting else self._timeout
        return max(self._heard, outbox.taken_at) + patience - self._loop.time()


def _seconds_since_data(request: web.Request) -> float:
    """Return the seconds since the kernel received data; infinity where the kernel does not have it."""
    connection = request.get_extra_info("socket")
    if connection is None or sys.platform != "linux":
        return math.inf
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED + 4)
    except OSError:  # the connection is lost
        return math.inf
    return float(struct.unpack_from("=I", info, _LAST_DATA_RECEIVED)[0]) / 1000
