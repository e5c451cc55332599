"""The dialects of OpenAI, GA and beta."""

import asyncio
import binascii
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from charhost.conversation.items import FunctionCall, FunctionOutput, Item
from charhost.conversation.turn import Turn
from charhost.errors import TakenOver
from charhost.jsontext import Json, encoded
from charhost.memory.budget import Holding
from charhost.memory.weight import weigh
from charhost.web.protocol import beta, client_events
from charhost.web.protocol.frames import MOST_EVENT, DeltaFrames, EventRefused, InvalidEvent, frame, refusal
from charhost.web.protocol.item_format import item_fields, item_from
from charhost.web.protocol.response_events import ResponseEvents
from charhost.web.protocol.session_config import SessionConfig
from charhost.web.protocol.session_params import ResponseParams, SessionParams, read
from charhost.web.server_calls import are_visible
from charhost.web.sessions.session import Session

# 24,000 samples of two bytes a second: a tenth of a second, the least that OpenAI accepts.
_LEAST_AUDIO = 4_800
_MOST_RESPONSES = 8


@dataclass(eq=False, slots=True)
class OpenAIHandler:
    """Handles the events of one client that uses an OpenAI SDK or speaks its protocol."""

    _session: Session
    _tasks: asyncio.TaskGroup
    _active: Turn | None = None  # the running turn whose items go into the conversation
    _audio_bytes: int = 0
    _deltas: DeltaFrames = field(default_factory=DeltaFrames)

    def open(self) -> None:
        self._emit("session.created", session=self._session.described)

    async def obey(self, event: Json) -> None:
        """Handle a client event; raises `InvalidEvent`, and then nothing was changed."""
        match client_events.checked(event):
            case client_events.SessionUpdate(session=params):
                self._update(params)
            case client_events.ItemCreate() as create:
                self._create_item(create)
            case client_events.ItemEvent(type="conversation.item.retrieve", item_id=item_id):
                self._emit("conversation.item.retrieved", item=item_fields(self._found(item_id, "retriev")))
            case client_events.ItemEvent(item_id=item_id):
                self._delete(item_id)
            case client_events.ItemTruncate(item_id=item_id):
                self._found(item_id, "truncat")
                text = "Only the audio of an assistant's message can be truncated."
                raise InvalidEvent("invalid_value", text, "item_id")
            case client_events.ResponseCreate(response=params):
                await self._respond(params or {})
            case client_events.ResponseCancel(response_id=response_id):
                self._cancel(response_id)
            case client_events.AudioAppend(audio=audio):
                self._append_audio(audio)
            case client_events.BufferEvent(type="input_audio_buffer.commit"):
                self._commit()
            case client_events.BufferEvent(type="input_audio_buffer.clear"):
                self._audio_bytes = 0
                self._emit("input_audio_buffer.cleared")
            case client_events.BufferEvent():
                pass  # the output buffer is always empty

    def refuse(self, error: EventRefused, event_id: str | None) -> None:
        self._session.send(refusal(error, event_id))

    @property
    def _config(self) -> SessionConfig:
        settings = self._session.settings
        assert isinstance(settings, SessionConfig)
        return settings

    def _update(self, raw: Json) -> None:
        params = read(SessionParams, raw, "session")
        config = self._config.merged(params)
        _refuse_long(config.model_dump(), "session")
        weight = weigh(config)
        self._session.insist_on_room(weight)
        self._session.configure(config, weight)
        self._session.choose(params.model)
        self._session.note()
        self._emit("session.updated", session=self._session.described)

    def _create_item(self, create: client_events.ItemCreate) -> None:
        item = item_from(create.item)
        fields = item_fields(item)
        _refuse_long(fields, "item")
        history = self._session.conversation.history
        if history.find(item.id) is not None:
            raise InvalidEvent("invalid_value", f"An item with the id '{item.id}' already exists.", "item.id")
        if isinstance(item, FunctionOutput) and not self._has_call(item.call_id):
            raise InvalidEvent("invalid_value", f"There is no call with the id '{item.call_id}'.", "item.call_id")
        self._session.insist_on_room(weigh(item))
        self._insert(item, create.previous_item_id)
        self._session.note()
        previous = history.before(item.id)
        for kind in ("added", "done"):
            self._emit(f"conversation.item.{kind}", previous_item_id=previous, item=fields)

    def _insert(self, item: Item, previous: str | None) -> None:
        history = self._session.conversation.history
        if not previous:
            history.append(item)
        elif previous == "root":
            history.insert(item, None)
        elif history.find(previous) is not None:
            history.insert(item, previous)
        else:
            text = f"Previous item with id '{previous}' does not exist."
            raise InvalidEvent("invalid_value", text, "previous_item_id")

    def _has_call(self, call_id: str) -> bool:
        items = self._session.conversation.history
        return any(isinstance(item, FunctionCall) and item.call_id == call_id and not item.hidden for item in items)

    def _found(self, item_id: str, verb: str) -> Item:
        item = self._session.conversation.history.find(item_id)
        if item is None:
            text = f"Error {verb}ing item: the item with id '{item_id}' does not exist."
            raise InvalidEvent(f"item_{verb}e_invalid_item_id", text, "item_id")
        return item

    def _delete(self, item_id: str) -> None:
        self._found(item_id, "delet")
        self._session.conversation.history.remove(item_id)
        self._session.note()
        self._emit("conversation.item.deleted", item_id=item_id)

    async def _respond(self, raw: Json) -> None:
        params = read(ResponseParams, raw, "response")
        await asyncio.sleep(0)  # its items may take a tenth of a second too: others have their turn before
        if self._session.closing.reason is not None:  # meanwhile
            return
        if self._session.closing.is_ending:
            text = "The characters were reloaded; this session closes after the current response. Reconnect."
            raise InvalidEvent("characters_reloaded", text)
        recorded = params.conversation != "none"
        if recorded and self._active is not None:
            raise InvalidEvent(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{self._active.id}. Wait until the response is finished before creating a new one.",
            )
        if len(self._session.work.turns) >= _MOST_RESPONSES:
            raise InvalidEvent("rate_limit_exceeded", "Too many responses at a time; retry response.create later.")
        items = None if params.input is None else [self._input(*numbered) for numbered in enumerate(params.input)]
        self._session.choose(None)
        config = self._config.merged(params)
        _refuse_long({"metadata": params.metadata, "audio": config.audio.model_dump()}, "response")
        memory = self._memory(items, config)
        turn = self._session.conversation.respond(config.turn_options(items, recorded))
        shows_calls = are_visible(params.metadata, is_admin=self._session.conversation.host is not None)
        sender = ResponseEvents(self._emit, self._response(turn, config, params, recorded), shows_calls)
        if recorded:
            self._active = turn
        sender.begin()
        self._session.work.begin(turn, self._send_events(turn, sender, memory), self._tasks)

    def _memory(self, items: Sequence[Item] | None, config: SessionConfig) -> Holding:
        """Return the memory of a response beside the conversation; raises `InvalidEvent` if there is no room for it."""
        memory, size = self._session.budget.holding("requests"), weigh(items, config)
        self._session.insist_on_room(size)
        memory.resize(size)
        return memory

    async def _send_events(self, turn: Turn, sender: ResponseEvents, memory: Holding) -> None:
        try:
            async with aclosing(turn.events()) as events:
                async for event in events:
                    if turn.ended is not None:
                        self._session.weigh()
                    if turn.ended is not None and turn is self._active:
                        await self._session.settled()
                        self._active = None  # before the client learns that it may request the next one
                    sender.send(event)
                    await self._session.outbox.room()
        except TakenOver:
            pass  # the close message says so
        except Exception:
            self._session.fail()
        finally:
            memory.resize(0)
            if turn is self._active:
                self._active = None

    def _input(self, index: int, sent: client_events.InputItem) -> Item:
        if not isinstance(sent, client_events.ItemReference):
            return item_from(sent)
        item = self._session.conversation.history.find(sent.id)
        if item is None:
            text = f"The item with id '{sent.id}' does not exist."
            raise InvalidEvent("invalid_value", text, f"response.input[{index}].id")
        return item

    def _cancel(self, response_id: str | None) -> None:
        if response_id is None and self._active is not None:
            response_id = self._active.id
        running = [turn for turn in self._session.work.turns if turn.ended is None and turn.id == response_id]
        if not running:
            raise InvalidEvent("response_cancel_not_active", "Cancellation failed: no active response found")
        running[0].cancel()

    def _append_audio(self, audio: str) -> None:
        try:
            self._audio_bytes += len(binascii.a2b_base64(audio, strict_mode=True))
        except ValueError as e:
            raise InvalidEvent("invalid_value", f"Invalid 'audio': it is no base64 ({e}).", "audio") from None

    def _commit(self) -> None:
        length = self._audio_bytes
        if length < _LEAST_AUDIO:
            raise InvalidEvent(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {length / 48:.2f}ms of audio.",
            )
        self._audio_bytes = 0  # so that each piece of speech is refused once
        raise InvalidEvent("audio_not_supported", "Audio input is not supported: send text (conversation.item.create).")

    def _response(self, turn: Turn, config: SessionConfig, params: ResponseParams, recorded: bool) -> Json:
        shown = config.ga(self._session.id, self._session.name)
        output = shown["audio"]["output"]
        beta_only = {"temperature": config.beta_temperature} if self._config.dialect == "beta" else {}
        return beta_only | {
            "object": "realtime.response",
            "id": turn.id,
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": self._session.conversation.id if recorded else None,
            "output_modalities": ["text"],
            "max_output_tokens": shown["max_output_tokens"],
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "usage": None,
            "metadata": params.metadata,
        }

    def _emit(self, kind: str, **fields: Any) -> None:
        if self._config.dialect == "beta":
            if kind in beta.UNKNOWN:
                return
            kind, fields = beta.KINDS.get(kind, kind), beta.translated(fields)
        render = self._deltas.frame if "delta" in fields else frame
        self._session.send(render(kind, **fields))


def _refuse_long(fields: Json, path: str) -> None:
    """Raise `InvalidEvent` if a server event that repeats *fields* were too long for many clients."""
    length = len(encoded(fields))
    if length > MOST_EVENT:
        raise InvalidEvent("invalid_value", f"Invalid '{path}': it has {length:,} bytes; at most {MOST_EVENT:,}.", path)
