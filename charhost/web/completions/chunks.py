"""Chunks: a response as the events of a chat-completions stream."""

from __future__ import annotations

import time
from typing import Any

from pydantic import BaseModel, Field

from charhost.conversation.items import Attached, FunctionCall, Message
from charhost.conversation.turn_events import (
    ArgumentsDelta,
    ItemAdded,
    ItemDone,
    ReasoningDelta,
    RequestReady,
    TextDelta,
    TurnEnded,
    TurnEvent,
)
from charhost.jsontext import encoded
from charhost.llm.model import FinishReason
from charhost.web.completions.response import attached_to_message, completion_id, finish_reason, gap, token_usage
from charhost.web.openai.server_calls import server_calls


class ChunkEvent(BaseModel):
    """One event of a stream."""

    data: str = Field(
        description=(
            "JSON: a `chat.completion.chunk` with the additions (`delta`) of its `choices`, or after a failure an "
            "`error`; `[DONE]` at the end of a complete response."
        )
    )


class Chunks:
    """Encodes the events of turns as the chunks of one stream; the part that they share is encoded once."""

    def __init__(self, model: str, include_usage: bool, shows_reasoning: bool, shows_calls: bool = False) -> None:
        self._shows_reasoning = shows_reasoning
        stamp = {"id": completion_id(), "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
        self._head = b"data: " + encoded(stamp)[:-1] + b',"choices":'
        self._shows_calls = shows_calls
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"

    def choice(self, index: int) -> ChoiceChunks:
        head, tail = self._head + b'[{"index":%d,"delta":' % index, b"}]" + self._tail
        return ChoiceChunks(head, tail, self._shows_reasoning, self._shows_calls)

    def usage(self, endings: list[TurnEnded]) -> bytes:
        return self._head + b'[],"usage":' + encoded(token_usage(endings)) + b"}\n\n"


class ChoiceChunks:
    def __init__(self, head: bytes, tail: bytes, shows_reasoning: bool, shows_calls: bool) -> None:
        self._shows_calls = shows_calls
        self._head = head
        self._tail = tail
        self._shows_reasoning = shows_reasoning
        self._begun = False
        self._calls = 0
        self._text = ""
        self._is_new = False

    def encode(self, event: TurnEvent) -> bytes:
        """Return the chunks of an event; empty for events that this API does not have."""
        if type(event) is TextDelta:  # almost all of them, and never the first
            content = b'{"content":' + encoded(self._joined(event.text)) + b'},"logprobs":'
            logprobs = encoded({"content": event.logprobs, "refusal": None}) if event.logprobs else b"null"
            return self._head + content + logprobs + b',"finish_reason":null' + self._tail
        if type(event) is RequestReady or (type(event) is ReasoningDelta and not self._shows_reasoning):
            return b""
        if self._begun:
            return self._encoded(event)
        self._begun = True
        return self._chunk({"role": "assistant", "content": ""}) + self._encoded(event)

    def _encoded(self, event: TurnEvent) -> bytes:
        match event:
            case ItemAdded(item=FunctionCall(call_id=call_id, name=name)):
                self._calls += 1
                return self._call({"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}})
            case ItemAdded(item=Message()):
                self._is_new = True
            case ReasoningDelta(text=text):
                return self._chunk({"reasoning_content": text})
            case ArgumentsDelta(text=text):
                return self._call({"function": {"arguments": text}})
            case ItemDone(item=FunctionCall(attached=Attached(call=fields))) if fields:
                return self._call(dict(fields))
            case TurnEnded():
                delta = attached_to_message(event, self._shows_reasoning)
                if self._shows_calls:
                    delta |= {"charhost_tools": server_calls(event)}
                return self._chunk(delta, finish_reason(event))
        return b""

    def _joined(self, text: str) -> str:
        if self._is_new:
            self._is_new = False
            text = gap(self._text, text) + text
        self._text = text
        return text

    def _call(self, piece: dict[str, Any]) -> bytes:
        return self._chunk({"tool_calls": [{"index": self._calls - 1, **piece}]})

    def _chunk(self, delta: dict[str, Any], finish: FinishReason | None = None) -> bytes:
        return self._head + encoded(delta) + b',"logprobs":null,"finish_reason":' + encoded(finish) + self._tail
