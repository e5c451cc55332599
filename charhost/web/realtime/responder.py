"""The responses in one session of the OpenAI dialects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from charhost.conversation.history import History
from charhost.conversation.items import Item
from charhost.conversation.turn_input import TurnOptions
from charhost.errors import SessionUnavailable, TakenOver
from charhost.jsontext import Json, encoded
from charhost.memory.budget import Holding
from charhost.memory.weight import weigh
from charhost.speech.latency import Latency
from charhost.speech.speech import Voice
from charhost.web.openai.server_calls import are_visible
from charhost.web.protocol.client_events import InputItem, ItemReference
from charhost.web.protocol.frames import MOST_EVENT, InvalidEvent
from charhost.web.protocol.item_format import item_from
from charhost.web.protocol.response_events import ResponseEvents
from charhost.web.protocol.session_config import SessionConfig
from charhost.web.protocol.session_params import ResponseParams
from charhost.web.realtime.active_turn import ActiveTurn
from charhost.web.realtime.emitter import Emitter
from charhost.web.realtime.loudspeaker import Loudspeaker
from charhost.web.sessions.session import Session

if TYPE_CHECKING:
    from charhost.web.sessions.work import RunningTurn

_MOST_RESPONSES = 8


@dataclass(frozen=True, slots=True)
class WantedResponse:
    """The response that a client asks for: its settings and options, and items instead of those of the conversation."""

    config: SessionConfig
    options: TurnOptions
    items: Sequence[Item | ItemReference] | None
    metadata: Mapping[str, str] | None

    @classmethod
    def of(cls, settings: SessionConfig, params: ResponseParams) -> WantedResponse:
        config = settings.merged(params)
        refuse_long({"metadata": params.metadata, "audio": config.audio.model_dump()}, "response")
        options = config.turn_options(recorded=params.conversation != "none")
        items = None if params.input is None else [_item_or_reference(sent) for sent in params.input]
        return cls(config, options, items, params.metadata)


@dataclass(eq=False, slots=True)
class Responder:
    """Begins the responses of one session, sends their events, and cancels them.

    `ready` waits until all speech of the client so far is understood.
    """

    _session: Session
    _tasks: asyncio.TaskGroup
    _emitter: Emitter
    _loudspeaker: Loudspeaker
    ready: Callable[[], Awaitable[None]] | None = None
    active: ActiveTurn = field(default_factory=ActiveTurn)

    async def respond(self, wanted: WantedResponse) -> None:
        """Begin the response that a client asks for; raises `InvalidEvent`."""
        voice, items = await self._voice(wanted.config), await self._items(wanted.items)
        if self._session.closing.reason is not None:  # meanwhile
            return
        self._insist_on_place(wanted.options.recorded)
        self._session.choose(None)
        self._begin(wanted, voice, replace(wanted.options, items=items, ready=self.ready))

    async def answer(self, words: str | None = None, latency: Latency | None = None) -> None:
        """Begin the response to a turn of the user; with *words* the character says these."""
        voice = await self._voice(self._config)
        await self.active.free()
        if self._session.closing.reason is None:  # one that closes after the talk answers the last turn
            self._session.choose(None)
            wanted = WantedResponse.of(self._config, ResponseParams())
            self._begin(wanted, voice, replace(wanted.options, words=words, may_greet=False), latency)

    def cancel(self, response_id: str | None) -> None:
        """Cancel a running response, by default that of the conversation; raises `InvalidEvent`."""
        active = self.active.turn
        if response_id is None and active is not None:
            response_id = active.id
        running = [turn for turn in self._session.work.turns if turn.ended is None and turn.id == response_id]
        if not running:
            raise InvalidEvent("response_cancel_not_active", "Cancellation failed: no active response found")
        running[0].cancel()
        if running[0] is active:
            self._loudspeaker.cut()  # of its items that were sent whole

    @property
    def _config(self) -> SessionConfig:
        settings = self._session.settings
        assert isinstance(settings, SessionConfig)
        return settings

    async def _voice(self, config: SessionConfig) -> Voice | None:
        return await self._loudspeaker.voice(config.audio.output) if config.is_spoken else None

    def _insist_on_place(self, recorded: bool) -> None:
        if self._session.closing.is_ending:
            text = "The characters were reloaded; this session closes after the current response. Reconnect."
            raise InvalidEvent("characters_reloaded", text)
        if recorded and self.active.turn is not None:
            raise InvalidEvent(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{self.active.turn.id}. Wait until the response is finished before creating a new one.",
            )
        if len(self._session.work.turns) >= _MOST_RESPONSES:
            raise InvalidEvent("rate_limit_exceeded", "Too many responses at a time; retry response.create later.")

    def _begin(
        self, wanted: WantedResponse, voice: Voice | None, options: TurnOptions, latency: Latency | None = None
    ) -> None:
        memory = self._memory(options.weight + (options.items.weight if options.items is not None else 0))
        written = self._session.conversation.respond(options)
        turn: RunningTurn = (
            written if voice is None else self._loudspeaker.spoken(written, wanted.config.audio.output, voice, latency)
        )
        shows_calls = are_visible(wanted.metadata, is_admin=self._session.conversation.host is not None)
        before = self._session.conversation.history.before
        sender = ResponseEvents(self._emitter, self._response(turn, wanted), before, shows_calls)
        if options.recorded:
            self.active.begin(turn)
        sender.begin()
        self._session.work.begin(turn, self._send_events(turn, sender, memory), self._tasks)

    def _memory(self, size: int) -> Holding:
        """Return the memory of a response beside the conversation; raises `InvalidEvent` if there is no room for it."""
        memory = self._session.budget.holding("requests")
        self._session.insist_on_room(size)
        memory.resize(size)
        return memory

    async def _send_events(self, turn: RunningTurn, sender: ResponseEvents, memory: Holding) -> None:
        outbox = self._session.outbox
        try:
            async with aclosing(turn.batches()) as batches:
                async for events in batches:
                    if turn.ended is not None:
                        await self._settle(turn)
                    for event in events:
                        self._loudspeaker.count(event)
                        sender.send(event)
                        if outbox.is_crowded:
                            await outbox.room()
        except (TakenOver, SessionUnavailable):
            pass  # the close message says so
        except Exception:
            self._session.fail()
        finally:
            memory.resize(0)
            self._loudspeaker.play()
            self.active.end(turn)

    async def _settle(self, turn: RunningTurn) -> None:
        self._session.weigh()
        if turn is self.active.turn:
            await self._session.settled()
            self.active.end(turn)  # before the client learns that it may request the next one

    async def _items(self, given: Sequence[Item | ItemReference] | None) -> History | None:
        if given is None:
            return None
        conversation = self._session.conversation
        # Once for all: there may be as many references as items.
        known = {item.id: item for item in conversation.history if not item.hidden}
        items = [_referred(known, index, item) for index, item in enumerate(given)]
        return await conversation.shared.offload.run(weigh(items), partial(History, items))

    def _response(self, turn: RunningTurn, wanted: WantedResponse) -> Json:
        config, is_recorded = wanted.config, wanted.options.recorded
        output = config.shown_audio(self._session.name)["output"]
        beta_only = {"temperature": config.beta_temperature} if self._config.dialect == "beta" else {}
        return beta_only | {
            "object": "realtime.response",
            "id": turn.id,
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": self._session.conversation.id if is_recorded else None,
            "output_modalities": config.shown_modalities,
            "max_output_tokens": config.max_output_tokens,
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "usage": None,
            "metadata": wanted.metadata,
        }


def _referred(known: Mapping[str, Item], index: int, given: Item | ItemReference) -> Item:
    if not isinstance(given, ItemReference):
        return given
    if given.id not in known:
        text = f"The item with id '{given.id}' does not exist."
        raise InvalidEvent("invalid_value", text, f"response.input[{index}].id")
    return known[given.id]


def _item_or_reference(sent: InputItem) -> Item | ItemReference:
    return sent if isinstance(sent, ItemReference) else item_from(sent)


def refuse_long(fields: Json, path: str) -> None:
    """Raise `InvalidEvent` if a server event that repeats *fields* were too long for many clients."""
    length = len(encoded(fields))
    if length > MOST_EVENT:
        raise InvalidEvent("invalid_value", f"Invalid '{path}': it has {length:,} bytes; at most {MOST_EVENT:,}.", path)
