"""The dialects of OpenAI, GA and beta."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from charhost.conversation.items import FunctionCall, FunctionOutput, Item
from charhost.jsontext import Json
from charhost.memory.collector import collector_paused
from charhost.memory.weight import weigh
from charhost.speech.engines import NO_ENGINES, Engines
from charhost.web.http.client_model import ClientModel
from charhost.web.protocol import client_events
from charhost.web.protocol.frames import EventRefused, InvalidEvent, refusal
from charhost.web.protocol.item_format import item_fields, item_from
from charhost.web.protocol.session_config import SessionConfig
from charhost.web.protocol.session_params import InputParams, ResponseParams, SessionParams, read
from charhost.web.realtime.answers import Answers
from charhost.web.realtime.audio_buffer import DeafMicrophone, audio_bytes
from charhost.web.realtime.emitter import Emitter
from charhost.web.realtime.loudspeaker import Loudspeaker
from charhost.web.realtime.microphone import AudioInput, Microphone
from charhost.web.realtime.responder import Responder, WantedResponse, refuse_long
from charhost.web.realtime.session_tasks import SessionTasks
from charhost.web.realtime.transcriber import Transcriber
from charhost.web.sessions.session import Session

if TYPE_CHECKING:
    from charhost.speech.ears import Ears


@dataclass(frozen=True, slots=True)
class _Update:
    """The settings after an update, weighed, and the character that it chooses."""

    config: SessionConfig
    weight: int
    model: str | None

    @classmethod
    def of(cls, settings: SessionConfig, params: SessionParams) -> _Update:
        config = settings.merged(params)
        refuse_long(config.model_dump(), "session")
        return cls(config, weigh(config), params.model)


@dataclass(frozen=True, slots=True)
class _NewItem:
    """An item of the client with its fields in events, and the id of the item before it.

    `sounds` are those of its parts whose words the client does not know.
    """

    item: Item
    fields: Json
    after: str | None
    sounds: Mapping[int, bytes]

    @classmethod
    def of(cls, create: client_events.ItemCreate) -> _NewItem:
        item = item_from(create.item)
        fields = item_fields(item)
        refuse_long(fields, "item")
        return cls(item, fields, create.previous_item_id, dict(_sounds(create.item)))


# The events whose work grows with the settings of the session.
_WITH_SETTINGS = ("session.update", "response.create")


@dataclass(eq=False)
class OpenAIHandler:
    """Handles the events of one client that uses an OpenAI SDK or speaks its protocol."""

    _session: Session
    _tasks: asyncio.TaskGroup
    _engines: Engines = NO_ENGINES
    _ears: Ears | None = None

    def __post_init__(self) -> None:
        emitter = Emitter(self._session)
        self._emit = emitter.emit
        self._loudspeaker = Loudspeaker(self._session, self._engines)
        self._responder = Responder(self._session, self._tasks, emitter, self._loudspeaker)
        self._microphone = self._opened_microphone()

    def _opened_microphone(self) -> Microphone | DeafMicrophone:
        if self._engines.hearing is None or self._ears is None:
            return DeafMicrophone(self._emit)
        tasks = SessionTasks(self._session, self._tasks)
        transcriber = Transcriber(self._session, tasks, self._engines.hearing, self._emit, self._ears.finish)
        self._responder.ready = transcriber.understood
        answers = Answers(self._session, self._responder, self._loudspeaker)
        return Microphone(
            self._session, tasks, self._ears, self._emit, transcriber, answers, partial(_audio_input, self._session)
        )

    def open(self) -> None:
        self._emit("session.created", session=self._session.described)

    async def obey(self, event: Json, size: int) -> None:
        """Handle a client event of that size in JSON; raises `InvalidEvent`, and then nothing was changed."""
        if event["type"] == "input_audio_buffer.append":  # of which there are many more than of all others
            await self._append(client_events.valid(client_events.AudioAppend, event).audio)
            return
        if event["type"] in _WITH_SETTINGS:
            size += self._session.settings_weight
        prepared = await self._session.conversation.shared.offload.run(size, partial(self._prepared, event))
        if self._session.closing.reason is not None:  # meanwhile
            return
        match prepared:
            case _Update() as update:
                self._update(update)
            case _NewItem() as new:
                self._create_item(new)
            case WantedResponse() as wanted:
                await self._responder.respond(wanted)
            case client_events.ItemEvent(type="conversation.item.retrieve", item_id=item_id):
                self._emit("conversation.item.retrieved", item=item_fields(self._found(item_id, "retriev")))
            case client_events.ItemEvent(item_id=item_id):
                self._delete(item_id)
            case client_events.ItemTruncate() as truncate:
                self._truncate(truncate)
            case client_events.ResponseCancel(response_id=response_id):
                self._responder.cancel(response_id)
            case client_events.BufferEvent(type="input_audio_buffer.commit"):
                await self._microphone.commit()
            case client_events.BufferEvent(type="input_audio_buffer.clear"):
                await self._microphone.clear()
            case client_events.BufferEvent():
                pass  # the output buffer is always empty

    def close(self) -> None:
        """Keep only the words that were heard: the client is disconnecting."""
        self._loudspeaker.cut()
        self._microphone.close()

    def refuse(self, error: EventRefused, event_id: str | None) -> None:
        self._session.send(refusal(error, event_id))

    async def _append(self, audio: str) -> None:
        if await self._microphone.append(audio) and not self._config.has_spoken:
            config = self._config.model_copy(update={"has_spoken": True})
            self._session.configure(config, self._session.settings_weight)

    def _prepared(self, event: Json) -> ClientModel | _Update | _NewItem | WantedResponse:
        """Check a client event; what is left to do takes the event loop less time."""
        match client_events.checked(event):
            case client_events.SessionUpdate(session=raw):
                return _Update.of(self._config, read(SessionParams, raw, "session"))
            case client_events.ItemCreate() as create:
                return _NewItem.of(create)
            case client_events.ResponseCreate(response=raw):
                return WantedResponse.of(self._config, read(ResponseParams, raw or {}, "response"))
            case checked:
                return checked

    @property
    def _config(self) -> SessionConfig:
        settings = self._session.settings
        assert isinstance(settings, SessionConfig)
        return settings

    def _update(self, update: _Update) -> None:
        self._session.insist_on_room(update.weight)
        self._session.configure(update.config, update.weight)
        self._microphone.configure()
        self._session.choose(update.model)
        self._session.note()
        with collector_paused():
            self._emit("session.updated", session=self._session.described)

    def _create_item(self, new: _NewItem) -> None:
        item, history = new.item, self._session.conversation.history
        if history.find(item.id) is not None:
            code = "item_create_duplicate_item_id"  # LiveKit takes this one for success
            raise InvalidEvent(code, f"An item with the id '{item.id}' already exists.", "item.id")
        if isinstance(item, FunctionOutput) and not self._has_call(item.call_id):
            raise InvalidEvent("invalid_value", f"There is no call with the id '{item.call_id}'.", "item.call_id")
        self._session.insist_on_room(item.weight)
        self._microphone.admit(new.sounds)
        self._insert(item, new.after)
        self._session.note()
        previous = history.before(item.id)
        for kind in ("added", "done"):
            self._emit(f"conversation.item.{kind}", previous_item_id=previous, item=new.fields)
        self._microphone.understand(item, new.sounds)

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

    def _truncate(self, event: client_events.ItemTruncate) -> None:
        self._found(event.item_id, "truncat")
        self._loudspeaker.truncate(event.item_id, event.audio_end_ms)
        self._emit(
            "conversation.item.truncated",
            item_id=event.item_id,
            content_index=event.content_index,
            audio_end_ms=event.audio_end_ms,
        )

    def _delete(self, item_id: str) -> None:
        self._found(item_id, "delet")
        self._session.conversation.history.remove(item_id)
        self._session.note()
        self._emit("conversation.item.deleted", item_id=item_id)


def _sounds(item: client_events.ClientItem) -> Iterator[tuple[int, bytes]]:
    if not isinstance(item, client_events.MessageItem) or item.role != "user":
        return
    for index, part in enumerate(item.content):
        if isinstance(part, client_events.InputAudio) and part.audio and part.transcript is None:
            yield index, audio_bytes(part.audio, f"item.content[{index}].audio")


def _audio_input(session: Session) -> AudioInput:
    config = session.settings
    assert isinstance(config, SessionConfig)
    given = config.audio.input or InputParams()
    encoding = given.format.type if given.format is not None else "audio/pcm"
    transcription = given.transcription
    if transcription is None:
        return AudioInput(encoding, config.detection)
    return AudioInput(encoding, config.detection, transcription.language, transcription.prompt or "")
