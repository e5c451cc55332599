"""How one session ends."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from aiohttp import web

from charhost.web.connections.signal import Signal
from charhost.web.sessions.close_message import CloseMessage
from charhost.web.sessions.outbox import Outbox, abort
from charhost.web.sessions.work import Work


@dataclass(eq=False, slots=True)
class Closing:
    """The end of one session: its turns may finish or are cut, then the close message is queued."""

    _request: web.Request
    _work: Work
    _outbox: Outbox
    began: Signal = field(default_factory=Signal)
    grace: float = 0.0  # in seconds, known once the session is being closed
    end_of_turn: Literal["cut", "drained"] | None = None  # set if a turn was running
    _why: str | None = None
    _is_draining: bool = False
    _deadline: asyncio.TimerHandle | None = None
    _hold: Signal | None = None
    _lost: Callable[[], None] | None = None

    @property
    def reason(self) -> str | None:
        """The reason for which the server ended the session; None while it is open, or if the client left."""
        return self._why or ("overflow" if self._outbox.has_overflowed else None)

    @property
    def is_ending(self) -> bool:
        """Whether the session is being closed, or will be after the running turns."""
        return self._is_draining or self.reason is not None

    def leave(self, message: CloseMessage, grace: float, drain: float) -> None:
        """Close the session when no turn is running, at the latest after *drain* seconds."""
        close = partial(self.close, message, grace)
        if drain <= 0 or not self._work.is_busy or self.reason is not None:
            close()
            return
        self._is_draining = True
        self._work.after_talk(close)
        self._deadline = asyncio.get_running_loop().call_later(drain, close)

    def close(self, message: CloseMessage, grace: float) -> None:
        """Cut the running turns, and queue *message* behind them and behind the commands.

        Aborts the connection *grace* seconds after the last command.
        """
        if self.reason is not None:
            return
        self.cancel()
        self.record(message.why)
        self.grace = grace
        self.began.set()
        is_cut = any(turn.ended is None for turn in self._work.turns)
        self.end_of_turn = "cut" if is_cut else "drained" if self._is_draining else None
        for turn in self._work.turns:
            turn.fail(message.cut, message.text or f"{message.reason}.")
        self._work.after_commands(partial(self._queue, message))

    def hold(self) -> None:
        """Read nothing more, and do not let go of the session once it is closed, until it is released.

        Of many that are closed at once each is sent its message before the work of letting go of the first begins.
        """
        self._hold = self._hold or Signal()
        if self._request.transport is not None:
            self._request.transport.pause_reading()

    def release(self) -> None:
        if self._hold is None or self._hold.is_set:
            return
        self._hold.set()
        if self._request.transport is not None:
            self._request.transport.resume_reading()
        if self._lost is not None:
            lost, self._lost = self._lost, None
            lost()

    async def released(self) -> None:
        """Wait until the session is not held, or not any more."""
        if self._hold is not None:
            await self._hold.wait()

    def when_released(self, lost: Callable[[], None]) -> None:
        """Call *lost*, which lets go of the connection, unless the session is held: then when it is released."""
        if self._hold is None or self._hold.is_set:
            lost()
        else:
            self._lost = lost

    def record(self, why: str) -> None:
        self._why = why

    def cancel(self) -> None:
        """Cancel a planned close, also because the client has left: its timer would keep an old build alive."""
        self._work.clear_call()
        if self._deadline is not None:
            self._deadline.cancel()

    def _queue(self, message: CloseMessage) -> None:
        asyncio.get_running_loop().call_later(self.grace, abort, self._request)
        self._work.after_turns(partial(self._outbox.put, message))
