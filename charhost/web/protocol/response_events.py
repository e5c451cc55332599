"""The server events of a response."""

import binascii
from collections.abc import Callable
from typing import Any, Protocol

from charhost.conversation.excerpt import Cut
from charhost.conversation.items import FunctionCall, Message
from charhost.conversation.turn_events import (
    ArgumentsDelta,
    ItemAdded,
    ItemDone,
    SoundDelta,
    SpokenEvent,
    TextDelta,
    TranscriptDelta,
    TurnEnded,
)
from charhost.jsontext import Json
from charhost.llm.model import Usage
from charhost.web.openai.server_calls import server_calls
from charhost.web.protocol.item_format import item_fields


class Emitter(Protocol):
    """Sends the events of one session."""

    def emit(self, kind: str, /, **fields: Any) -> None: ...

    def deltas(self, kind: str, fields: Json) -> Callable[[str], None]:
        """Return a function that sends an event with these fields and a `delta`."""

    def sounds(self, kind: str, fields: Json) -> Callable[[str, int], None]:
        """Return such a function for sound, with the number of its bytes."""


class ResponseEvents:
    """Sends the events of one response; one outside the conversation has no `conversation.item` events.

    *before* returns the id of the item before another one in the conversation.
    """

    def __init__(
        self, emitter: Emitter, response: Json, before: Callable[[str], str | None], shows_calls: bool = False
    ) -> None:
        self._shows_calls = shows_calls
        self._before = before  # asked when an event is sent: the client may have deleted an item meanwhile
        self._emit = emitter.emit
        self._emitter = emitter
        self._deltas: dict[tuple[str, str], Callable[[str], None]] = {}  # by the kind and the item
        self._sounds: dict[str, Callable[[str, int], None]] = {}  # by the item
        self._response = response
        self._recorded = response["conversation_id"] is not None
        self._is_spoken = "audio" in response["output_modalities"]

    def begin(self) -> None:
        self._emit("response.created", response=self._response)

    def send(self, event: SpokenEvent) -> None:
        match event:
            case TextDelta(item_id, index, text):
                self._delta("response.output_text.delta", item_id, index)(text)
            case TranscriptDelta(item_id, index, text):
                self._delta("response.output_audio_transcript.delta", item_id, index)(text)
            case SoundDelta(item_id, index, data, size):
                self._sound(item_id, index)(binascii.b2a_base64(data, newline=False).decode(), size)
            case ArgumentsDelta(item_id, call_id, index, text):
                self._delta("response.function_call_arguments.delta", item_id, index, call_id)(text)
            case ItemAdded(item, index):
                self._added(item, index)
            case ItemDone(item, index):
                self._done(item, index)
            case TurnEnded():
                self.end(event)

    def end(self, ended: TurnEnded) -> None:
        response = self._response | {
            "status": ended.outcome,
            "status_details": _status_details(ended),
            "output": [item_fields(item) for item in ended.items],
            "usage": _usage(ended.usage, ended.cut),
        }
        if self._shows_calls:
            response["charhost_tools"] = server_calls(ended)
        self._emit("response.done", response=response)

    def _added(self, item: Message | FunctionCall, index: int) -> None:
        fields = item_fields(item)
        self._emit("response.output_item.added", response_id=self._response["id"], output_index=index, item=fields)
        if self._recorded:
            self._emit("conversation.item.added", previous_item_id=self._before(item.id), item=fields)
        if isinstance(item, Message):
            self._emit("response.content_part.added", **self._where(item.id, index), part=self._part(""))

    def _done(self, item: Message | FunctionCall, index: int) -> None:
        if isinstance(item, Message):
            where, text = self._where(item.id, index), item.said
            if self._is_spoken:
                self._emit("response.output_audio.done", **where)
                self._emit("response.output_audio_transcript.done", **where, transcript=text)
            else:
                self._emit("response.output_text.done", **where, text=text)
            self._emit("response.content_part.done", **where, part=self._part(text))
        else:
            call = {"call_id": item.call_id, "name": item.name, "arguments": item.arguments}
            self._emit("response.function_call_arguments.done", **self._place(item.id, index), **call)
        fields = item_fields(item)
        if self._recorded:
            self._emit("conversation.item.done", previous_item_id=self._before(item.id), item=fields)
        self._emit("response.output_item.done", response_id=self._response["id"], output_index=index, item=fields)

    def _delta(self, kind: str, item_id: str, index: int, call_id: str | None = None) -> Callable[[str], None]:
        send = self._deltas.get((kind, item_id))
        if send is None:
            call = self._place(item_id, index) | {"call_id": call_id}
            fields = self._where(item_id, index) if call_id is None else call
            send = self._deltas[kind, item_id] = self._emitter.deltas(kind, fields)
        return send

    def _sound(self, item_id: str, index: int) -> Callable[[str, int], None]:
        send = self._sounds.get(item_id)
        if send is None:
            send = self._sounds[item_id] = self._emitter.sounds(
                "response.output_audio.delta", self._where(item_id, index)
            )
        return send

    def _part(self, text: str) -> Json:
        return {"type": "audio", "transcript": text} if self._is_spoken else {"type": "text", "text": text}

    def _place(self, item_id: str, index: int) -> Json:
        return {"response_id": self._response["id"], "item_id": item_id, "output_index": index}

    def _where(self, item_id: str, index: int) -> Json:
        return self._place(item_id, index) | {"content_index": 0}


def _status_details(ended: TurnEnded) -> Json | None:
    if ended.failure is not None:
        error = {"type": "server_error", "code": ended.failure.code, "message": ended.failure.message}
        return {"type": "failed", "error": error}
    return None if ended.reason is None else {"type": ended.outcome, "reason": ended.reason}


def _usage(usage: Usage, cut: Cut) -> Json:
    cached = {"text_tokens": usage.cached_tokens, "audio_tokens": 0, "image_tokens": 0}
    read = cached | {"text_tokens": usage.input_tokens}
    return {
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "input_token_details": {
            **read,
            "cached_tokens": usage.cached_tokens,
            "cached_tokens_details": cached,
            **cut.counts(),
        },
        "output_token_details": {"text_tokens": usage.output_tokens, "audio_tokens": 0},
    }
