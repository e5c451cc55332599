"""When a client that speaks is answered, and when it interrupts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from charhost.conversation.spoken_turn import SpokenTurn
from charhost.speech.latency import Latency
from charhost.web.realtime.active_turn import ActiveTurn
from charhost.web.realtime.loudspeaker import Interrupted, Loudspeaker
from charhost.web.sessions.session import Session

# An interrupted response is given back so often in a row; one that was hardly heard is made anew.
_MOST_GIVEN_BACK = 2
_HARDLY_HEARD_MS = 1_000


class Responds(Protocol):
    """Begins the responses of one session."""

    active: ActiveTurn

    async def answer(self, words: str | None = None, latency: Latency | None = None) -> None:
        """Begin the response to a turn of the user, after the running one; with *words* the character says these."""


@dataclass(eq=False, slots=True)
class Answers:
    """Answers the turns of one client, and gives interrupted responses back where nothing was said."""

    _session: Session
    _responder: Responds
    _loudspeaker: Loudspeaker
    _interrupted: Interrupted | None = None  # the response that is owed, if nothing is said
    _given_back: int = 0  # times in a row

    @property
    def is_audible(self) -> bool:
        """Whether the client hears the character, or will in a moment."""
        return self._responder.active.turn is not None or self._loudspeaker.is_playing

    async def interrupt(self) -> None:
        """Stop the character, since the client speaks; its response has ended before the turn of the client can."""
        active = self._responder.active.turn
        self._stop()
        if active is not None:
            await self._responder.active.ended(active)

    def _stop(self) -> None:
        active, items = self._responder.active.turn, {}
        is_running = active is not None and active.ended is None
        if active is not None and is_running:
            active.cancel("turn_detected")
            if isinstance(active, SpokenTurn) and active.is_cut and active.playback is not None:
                items = {active.item_id: active.playback}
        interrupted = Interrupted({**self._loudspeaker.cut().items, **items})
        if not is_running and not interrupted.items:
            return
        self._interrupted = interrupted
        self._session.conversation.shared.metrics.speech_interruptions.inc()

    async def answer(self, text: str, goes_on: bool, latency: Latency | None) -> None:
        """Answer a turn with the words *text*, which may be none; while the client *goes_on* it is not answered yet."""
        if text:
            self._given_back = 0
            self._interrupted = Interrupted() if goes_on else None
            if not goes_on:
                await self._responder.answer(latency=latency)
        elif not goes_on:
            await self._give_back()

    async def _give_back(self) -> None:
        """Begin the interrupted response again: the interruption was nothing."""
        interrupted, self._interrupted = self._interrupted, None
        if interrupted is None or self._given_back >= _MOST_GIVEN_BACK:
            return
        self._given_back += 1
        self._session.conversation.shared.metrics.speech_given_back.inc()
        if interrupted.heard_ms < _HARDLY_HEARD_MS:
            for item_id in interrupted.items:
                self._loudspeaker.forget(item_id)
            await self._responder.answer()
        elif interrupted.unheard:
            await self._responder.answer(interrupted.unheard)
