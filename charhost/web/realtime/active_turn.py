"""The turn of a session that is running."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from charhost.web.connections.signal import Signal

if TYPE_CHECKING:
    from charhost.web.sessions.work import RunningTurn


@dataclass(eq=False, slots=True)
class ActiveTurn:
    """The place of the turn whose items go into the conversation: there is one at a time, and None between two."""

    turn: RunningTurn | None = None
    _ended: Signal = field(default_factory=Signal)

    def begin(self, turn: RunningTurn) -> None:
        self.turn = turn

    def end(self, turn: RunningTurn) -> None:
        """Free the place, if *turn* has it."""
        if self.turn is turn:
            self.turn = None
            self._ended.set()

    async def ended(self, turn: RunningTurn) -> None:
        """Wait until the events of a turn are sent."""
        while self.turn is turn:
            self._ended.clear()
            await self._ended.wait()

    async def free(self) -> None:
        """Wait until no turn is running."""
        while self.turn is not None:
            await self.ended(self.turn)
