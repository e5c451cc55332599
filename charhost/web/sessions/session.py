"""Session: one connected client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol

from aiohttp import web

from charhost.character.character import Character, CharacterSet
from charhost.conversation.conversation import Conversation
from charhost.conversation.turn import Turn
from charhost.ids import new_id
from charhost.reload.swap import Swap
from charhost.resume.saved_session import Parked
from charhost.resume.writer import Journal
from charhost.text import UNEXPECTED
from charhost.web.protocol.client_events import Dialect
from charhost.web.protocol.server_events import BadEvent, error_event
from charhost.web.sessions.close_message import Farewell
from charhost.web.sessions.outbox import Outbox

log = logging.getLogger("charhost.sessions")


class Door(Protocol):
    """A dialect, spoken with one client."""

    dialect: Dialect

    def open(self) -> None:
        """Say what a client of this dialect is told first."""

    def close(self) -> None:
        """End what waits; the client is about to be gone, or is."""

    def obey(self, event: dict[str, Any]) -> None:
        """Do what a client event says; raises `BadEvent`, and then nothing was changed."""

    def refuse(self, error: BadEvent, event_id: str | None) -> None:
        """Say why a client event was not obeyed."""

    def follow(self) -> None:
        """Say that the session goes on with a new version of its character."""

    def config(self) -> dict[str, Any]:
        """Answer what the client has set, as JSON data; a door that is made with it goes on where this one was."""


class Session:
    """One connected client: a socket, its conversation, what is under way for it, and what waits to be sent.

    Under way are answers, which a farewell may cut, and errands, which it waits for.

    `choices` is the current set as long as the client may still choose another character from it. `owner` is the digest
    of the key that the client showed, `longest_wait`, in ms, what it may be told to wait before it comes back. `door`
    is there once it is known which dialect the client speaks; until then there is the `dialect`, if the handshake told
    it, and the `config` that the door is made with.
    """

    def __init__(
        self,
        request: web.Request,
        ws: web.WebSocketResponse,
        conversation: Conversation,
        generation: int,
        journal: Journal,
        owner: str = "",
        session_id: str | None = None,
    ) -> None:
        self.id = session_id or new_id("sess")
        self.owner = owner
        self.ws = ws
        self.conversation = conversation
        self.generation = generation
        self.choices: CharacterSet | None = None
        self.door: Door | None = None
        self.dialect: Dialect | None = None
        self.config: Mapping[str, Any] | None = None
        self.leaving = False
        self.ended_by: str | None = None
        self.gone = asyncio.Event()
        self._ending = asyncio.Event()
        self._grace = 0.0
        self.end_of_turn: str | None = None
        self.longest_wait = 0
        self.outbox = Outbox(partial(self.abort, "overflow"))
        self._request = request
        self._journal = journal
        self._turns: dict[Turn, asyncio.Task[None]] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self._when_silent: partial[None] | None = None
        self._when_done: partial[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def character(self) -> Character:
        """Whom the client talks to."""
        return self.conversation.character

    @property
    def turns(self) -> Collection[Turn]:
        """The answers that are under way."""
        return self._turns.keys()

    @property
    def errands(self) -> int:
        """How many errands are under way."""
        return len(self._errands)

    @property
    def may_return(self) -> bool:
        """Whether the client did not mean to end the conversation: it was sent away, or its line was cut."""
        if self.ended_by is not None:
            return self.ended_by != "goodbye"
        return self.ws.close_code not in (0, 1000)  # aiohttp's 0 is a close frame without a code

    @property
    def parked(self) -> Parked:
        """The conversation without its client."""
        history, door = self.conversation.history, self.door
        return Parked(
            id=self.id,
            character=self.character.name,
            owner=self.owner,
            dialect=door.dialect if door else self.dialect,
            config=door.config() if door else self.config,
            conversation_id=self.conversation.id,
            items=tuple(history),
            weight=history.weight,
        )

    def note(self) -> None:
        """Have the conversation written down soon, for a client that comes back after a restart."""
        self._journal.note(self.id, lambda: self.parked)

    async def settled(self) -> None:
        """Wait until the conversation, as it is now, would outlive the process; not so long as to miss the farewell."""
        if not self._journal.is_kept:
            return
        self.note()
        settled, ending = waits = [asyncio.create_task(wait) for wait in (self._journal.settled(), self._ending.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                await asyncio.wait([settled], timeout=self._grace / 2)
        finally:
            for wait in waits:
                wait.cancel()

    def choose(self, name: str | None) -> None:
        """Take the client's only choice of a character; a name that is none leaves things as they are."""
        choices, self.choices = self.choices, None
        if choices is not None and name is not None and (character := choices.find(name)) is not None:
            self.move_to(character, choices)

    def move_to(self, character: Character, characters: CharacterSet) -> None:
        """Talk to *character* of that set from the next turn on."""
        self.conversation.move_to(character)
        self.generation = characters.generation

    def go_on(self, swap: Swap) -> bool:
        """Go on beside a swap that does not end the session; answers whether with a new version of the character.

        A turn that is running ends with the version it began with; under `keep` all others do, too.
        """
        if self.choices is not None:
            self.choices = swap.after
        successor = swap.after.get(self.character.name)
        if swap.policy not in ("close_affected", "follow") or successor is None or self.is_ending:
            return False
        is_new = swap.affects(self.character)
        self.move_to(successor, swap.after)
        if is_new and self.door is not None:
            self.door.follow()
        return is_new

    def begin(self, turn: Turn, telling: Coroutine[Any, Any, None], tasks: asyncio.TaskGroup) -> None:
        """Have *telling* send what happens in *turn*, beside whatever else is under way."""
        self._turns[turn] = task = tasks.create_task(telling)
        task.add_done_callback(lambda _: self._end_of(turn))

    def run(self, errand: Coroutine[Any, Any, None], tasks: asyncio.TaskGroup) -> None:
        """Have *errand* done beside whatever else is under way; a farewell lets it end, and send its answer, first."""
        task = tasks.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._end_of_errand)

    def drop_work(self) -> None:
        """Give up what is under way: there is nobody to tell."""
        self._wait_no_more()
        for task in self._turns.values():
            task.cancel()
        self.drop_errands()

    def drop_errands(self) -> None:
        """Give up the errands: nobody waits for their answers any more."""
        for task in self._errands:  # one that was run just now begins first: what it has done must not depend on this
            asyncio.get_running_loop().call_soon(task.cancel)

    @property
    def is_ending(self) -> bool:
        """Whether the farewell is under way, or waits for the end of an answer."""
        return self.leaving or self.ended_by is not None

    def send(self, frame: str | Farewell) -> None:
        """Queue *frame*; a client that lets the queue fill up is disconnected."""
        self.outbox.put(frame)

    def leave(self, farewell: Farewell, grace: float, drain: float) -> None:
        """Close as soon as nothing is being said, at the latest after *drain* seconds."""
        if not self._turns or drain <= 0:
            self.close(farewell, grace)
            return
        self.leaving = True
        self._when_silent = partial(self.close, farewell, grace)
        self._deadline = asyncio.get_running_loop().call_later(drain, self._when_silent)

    def close(self, farewell: Farewell, grace: float) -> None:
        """End the answers under way, and queue the close behind them and behind the errands.

        Cuts the client off *grace* seconds after the last errand has ended.
        """
        if self.ended_by is not None:
            return
        self._wait_no_more()
        self._ending.set()
        self._grace = grace
        self.ended_by = farewell.why
        is_cut = any(turn.ended is None for turn in self._turns)
        self.end_of_turn = "cut" if is_cut else "drained" if self.leaving else None
        for turn in self._turns:
            turn.fail(farewell.cut, farewell.text or f"{farewell.reason}.")
        part = partial(self._part, farewell, grace)
        if self._errands:
            self._when_done = part
        else:
            part()

    def fail(self, grace: float, kind: str = "server_error") -> None:
        """End the session because of a fault in charhost; called where it is handled. *kind* is the error's type."""
        log.exception("a session with character %s failed unexpectedly", self.character.name)
        frame = error_event(kind, "internal_error", UNEXPECTED)
        self.close(Farewell(1011, "Internal error", "fault", frame, "internal_error"), grace)

    def abort(self, why: str) -> None:
        """Cut the connection now."""
        self.ended_by = self.ended_by or why
        if self._request.transport is not None:
            self._request.transport.abort()

    def forget(self) -> None:
        """Let go of what only a client that is there needs: a large part of what a session holds, in a circle."""
        self.outbox.clear()
        self.door = None

    def _part(self, farewell: Farewell, grace: float) -> None:
        asyncio.get_running_loop().call_later(grace, self.abort, farewell.why)
        if self._turns:
            self._when_silent = partial(self.send, farewell)
        else:
            self.send(farewell)

    def _wait_no_more(self) -> None:
        self._when_silent = self._when_done = None
        if self._deadline is not None:  # it would hold the session, and with it an old build
            self._deadline.cancel()

    def _end_of(self, turn: Turn) -> None:
        del self._turns[turn]
        if not self._turns and self._when_silent is not None:
            waiting, self._when_silent = self._when_silent, None
            waiting()

    def _end_of_errand(self, errand: asyncio.Task[None]) -> None:
        self._errands.remove(errand)
        if not self._errands and self._when_done is not None:
            waiting, self._when_done = self._when_done, None
            waiting()
