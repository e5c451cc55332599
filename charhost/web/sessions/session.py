"""One connected client."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from aiohttp import web

from charhost.character.character import Character, CharacterSet
from charhost.character.host_tools import Host
from charhost.conversation.conversation import Conversation
from charhost.errors import SessionUnavailable
from charhost.ids import new_id
from charhost.logs.line_limit import limited
from charhost.memory.budget import MemoryBudget
from charhost.memory.weight import weigh
from charhost.reload.swap import Swap
from charhost.report import DEFAULT_SET
from charhost.resume.archive import SessionWriter
from charhost.resume.saved_session import SavedSession
from charhost.sets.view import FoundCharacter, SetsView, full_name
from charhost.text import UNEXPECTED
from charhost.web.connections.signal import Signal
from charhost.web.protocol.frames import InvalidEvent, error_event, frame
from charhost.web.protocol.session_config import ClientSettings
from charhost.web.sessions.close_message import CloseMessage, refused
from charhost.web.sessions.closing import Closing
from charhost.web.sessions.incoming import IncomingMessages
from charhost.web.sessions.outbox import Outbox
from charhost.web.sessions.work import Work

log = logging.getLogger("charhost.sessions")

# Of a session that has no items: its socket, its tasks and its queues, as measured.
LEAST_BYTES = 24 << 10


@dataclass(eq=False, repr=False)
class Session:
    """One connected client: its socket, its conversation and settings, its running work and how it is closed."""

    request: web.Request
    ws: web.WebSocketResponse
    conversation: Conversation
    writer: SessionWriter
    _: KW_ONLY
    set: str = DEFAULT_SET  # that of its character
    generation: int
    owner: str = ""  # the digest of the client's key
    id: str = field(default_factory=lambda: new_id("sess"))
    choices: SetsView | None = None  # while the client may still choose its character
    host_of: Callable[[str], Host | None] = lambda name: None  # the host tools for a set
    settings: ClientSettings | None = None  # None until the dialect is known
    longest_wait: int = 0  # the most ms after which a close message may ask the client to reconnect
    close_grace: float = 5.0  # in seconds
    budget: MemoryBudget = field(default_factory=MemoryBudget)

    def __post_init__(self) -> None:
        self.memory = self.budget.holding("sessions")
        self.outbox = Outbox(self.request, self.budget.holding("outboxes"))
        self.settings_weight = weigh(self.settings)
        self.weigh()
        self.work = Work()
        self.closing = Closing(self.request, self.work, self.outbox)
        self.gone = Signal()
        self.incoming: IncomingMessages | None = None  # None until messages are received

    @property
    def character(self) -> Character:
        return self.conversation.character

    @property
    def name(self) -> str:
        """The name by which clients choose the character."""
        return full_name(self.set, self.character.name)

    @property
    def may_return(self) -> bool:
        """Whether the client can resume: it was sent away or lost its connection, and did not end the conversation."""
        if self.closing.reason is not None:
            return self.closing.reason != "goodbye"
        return self.ws.close_code not in (0, 1000)  # aiohttp's 0 is a close frame without a code

    @property
    def saved(self) -> SavedSession:
        history, settings = self.conversation.history, self.settings
        return SavedSession(
            id=self.id,
            character=self.character.name,
            set=self.set,
            owner=self.owner,
            dialect=settings.dialect if settings else None,
            config=settings.stored() if settings else None,
            conversation_id=self.conversation.id,
            items=tuple(history),
            weight=self.weight,
        )

    def note(self) -> None:
        """Have the session saved soon, for a client that resumes after a restart."""
        self.writer.note(self.id, lambda: self.saved)

    async def settled(self) -> None:
        """Wait until the conversation is saved; once the session is closing, at most half the close grace.

        Raise `TakenOver` if another node of the fleet has resumed the session, and `SessionUnavailable` if one may do
        so before it is saved: the client must learn nothing more.
        """
        if not self.writer.is_saving:
            return
        self.note()
        saved = asyncio.create_task(self.writer.settled(self.id))
        closing = asyncio.create_task(self.closing.began.wait())
        try:
            await asyncio.wait([saved, closing], return_when=asyncio.FIRST_COMPLETED)
            if closing.done():
                await asyncio.wait([saved], timeout=self.closing.grace / 2)
            if saved.done():
                saved.result()
            elif self.writer.is_shared:
                raise SessionUnavailable(f"the session {self.id} ends before it is saved")
        finally:
            saved.cancel()
            closing.cancel()

    @property
    def described(self) -> dict[str, Any]:
        """The `session` object of server events; empty until the dialect is known."""
        settings = self.settings
        return settings.described(self.id, self.name, self.longest_wait) if settings else {}

    def begin_to_receive(self) -> None:
        """Follow the messages that are on their way, from the end of the handshake on."""
        if self.request.transport is not None:
            memory = self.budget.holding("incoming")
            lose = self.closing.when_released
            self.incoming = IncomingMessages(
                self.request.transport, memory, self._refuse_incoming, lose, self._refuse_flood
            )

    @property
    def weight(self) -> int:
        """The bytes of the conversation and of the settings in memory, and of the session itself."""
        return LEAST_BYTES + self.conversation.history.weight + self.settings_weight

    def weigh(self) -> None:
        """Count the session anew in the budget of memory."""
        self.memory.resize(self.weight)

    def configure(self, settings: ClientSettings, weight: int | None = None) -> None:
        """Replace the settings of the client, which may be weighed already; the first ones decide its dialect."""
        if settings is not self.settings:
            self.settings, self.settings_weight = settings, weigh(settings) if weight is None else weight

    def insist_on_room(self, size: int) -> None:
        """Raise `InvalidEvent` if the budget of memory has no room for *size* more bytes."""
        if not self.memory.has_room(size):
            text = "The server has no memory left for this: send less, or try again later."
            raise InvalidEvent("session_too_large", text)

    def choose(self, name: str | None) -> None:
        """Use up the client's only choice of a character; an unknown *name* changes nothing."""
        choices, self.choices = self.choices, None
        if choices is not None and name is not None and (found := choices.find(name)) is not None:
            self.take(found)

    def take(self, found: FoundCharacter) -> None:
        """Move to a character of any set."""
        if found.set != self.set:
            self.set, self.conversation.host = found.set, self.host_of(found.set)
        self.move_to(found.character, found.characters)

    def move_to(self, character: Character, characters: CharacterSet) -> None:
        self.conversation.move_to(character)
        self.generation = characters.generation

    def go_on(self, swap: Swap) -> bool:
        """Apply a swap that keeps this session open; return whether its character changed.

        A running turn ends with its version of the character; under `keep` every later turn has it, too.
        """
        successor = swap.after.get(self.character.name)
        if swap.policy not in ("close_affected", "follow") or successor is None or self.closing.is_ending:
            return False
        is_new = swap.affects(self.character)
        self.move_to(successor, swap.after)
        if is_new and self.settings is not None:
            self.send(frame("session.updated", session=self.described))
        return is_new

    def send(self, frame: str) -> None:
        self.outbox.put(frame)

    def fail(self) -> None:
        """Close the session because of a fault in charhost; call this in the exception handler."""
        log.exception("a session with character %s failed unexpectedly", self.name, extra=limited())
        kind = self.settings.fault_type if self.settings else "server_error"
        event = error_event(kind, "internal_error", UNEXPECTED)
        self.closing.close(CloseMessage(1011, "Internal error", "fault", event, "internal_error"), self.close_grace)

    def drop_work(self) -> None:
        """Cancel everything that is running: the client has left."""
        self.closing.cancel()
        self.work.cancel()

    def close_memory(self) -> None:
        """Give the memory back; a session that can be resumed is counted elsewhere."""
        self.memory.resize(0)
        self.outbox.close()
        if self.incoming is not None:
            self.incoming.close()
            self.incoming = None  # it refers to the session

    def _refuse_incoming(self) -> None:
        text = "The server has no memory left for this message; send less, or try again later."
        self.closing.close(refused("session_too_large", text, close_code=1009), self.close_grace)

    def _refuse_flood(self) -> None:
        text = "Too many control frames, or parts of messages without content, came in one second."
        log.info("too many frames of a session with character %s", self.name, extra=limited())
        self.closing.close(refused("rate_limit_exceeded", text, close_code=1008), self.close_grace)
