"""Heartbeat: pings to one client, and the end of a session whose client returns no pong."""

import asyncio
import logging
from dataclasses import dataclass

from charhost.logs.line_limit import limited
from charhost.web.connections.tcp_info import tcp_info
from charhost.web.sessions.close_message import CloseMessage, refused
from charhost.web.sessions.incoming import MESSAGE_DEADLINE
from charhost.web.sessions.session import Session

log = logging.getLogger("charhost.sessions")

PING_INTERVAL = 20.0
_SILENT = CloseMessage(1011, "The client answered no ping", "heartbeat")
_LATE = refused("request_timeout", f"The message was not complete within {MESSAGE_DEADLINE:g} s.", close_code=1008)


@dataclass(eq=False)
class Heartbeat:
    """Pings one client, and closes its session after *timeout* seconds without a sign of it.

    Signs are everything that it sends. While frames wait for it there is no silence: it may be that it is not heard,
    since a client that does not read is not read either; `Readers` judges it by the bytes that it takes.
    """

    _session: Session
    _timeout: float

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.reset()
        self._schedule()

    def reset(self) -> None:
        self._last_sign = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()

    def _schedule(self) -> None:
        self._timer = self._loop.call_later(min(PING_INTERVAL, self._timeout / 3, self._left), self._beat)

    def _beat(self) -> None:
        session = self._session
        if session.incoming is not None and session.incoming.is_late(not session.outbox.is_waiting):
            log.info("a message to character %s was not complete in time", session.name, extra=limited())
            session.closing.close(_LATE, session.close_grace)
            return
        if session.outbox.is_waiting:
            self.reset()
        if self._left <= 0:  # a long message is no sign before its end
            milliseconds = tcp_info(session.request.transport, "last_data_received")
            if milliseconds is not None:
                self._last_sign = max(self._last_sign, self._loop.time() - milliseconds / 1000)
        if self._left > 0:
            session.outbox.ping()
            self._schedule()
            return
        silence = self._loop.time() - self._last_sign
        text = "a client of character %s answered no ping for %.3g s"
        log.info(text, session.name, silence, extra=limited())
        session.closing.close(_SILENT, session.close_grace)

    @property
    def _left(self) -> float:
        return self._last_sign + self._timeout - self._loop.time()
