"""Chunks: an answer in the shapes of a chat completion, whole and piece by piece."""

from __future__ import annotations

import time
from typing import Any

from charhost.ids import new_id
from charhost.items import FunctionCall, Message
from charhost.jsontext import encoded
from charhost.llm import FinishReason, Usage
from charhost.progress import ArgumentsDelta, ItemAdded, TextDelta, TurnEnded, TurnEvent
from charhost.web.problem import Problem

DONE = b"data: [DONE]\n\n"


class Chunks:
    """Spells the events of turns as the chunks of one stream, all with one id.

    What is the same in every chunk is spelled once.
    """

    def __init__(self, model: str, include_usage: bool) -> None:
        self._head = b"data: " + encoded(_stamp("chat.completion.chunk", model))[:-1] + b',"choices":'
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"

    def choice(self, index: int) -> ChoiceChunks:
        """Begin one of the answers."""
        return ChoiceChunks(self._head + b'[{"index":%d,"delta":' % index, b"}]" + self._tail)

    def usage(self, endings: list[TurnEnded]) -> bytes:
        """Spell the chunk that tells the cost."""
        return self._head + b'[],"usage":' + encoded(_usage(endings)) + b"}\n\n"


class ChoiceChunks:
    """Spells the events of one turn."""

    def __init__(self, head: bytes, tail: bytes) -> None:
        self._head = head
        self._tail = tail
        self._text_head = head + b'{"content":'
        self._text_tail = b'},"logprobs":null,"finish_reason":null' + tail
        self._begun = False
        self._calls = 0
        self._said = ""
        self._is_new = False

    def spell(self, event: TurnEvent) -> bytes:
        """Spell one event; nothing, if a client of this API is not told of it."""
        if type(event) is TextDelta:  # almost all of them
            return self._text_head + encoded(self._joined(event.text)) + self._text_tail
        return self._opening() + self._rare(event)

    def _rare(self, event: TurnEvent) -> bytes:
        match event:
            case ItemAdded(item=FunctionCall(call_id=call_id, name=name)):
                self._calls += 1
                return self._call({"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}})
            case ItemAdded(item=Message()):
                self._is_new = True
            case ArgumentsDelta(text=text):
                return self._call({"function": {"arguments": text}})
            case TurnEnded():
                return self._chunk({}, finish_reason(event))
        return b""

    def _opening(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._chunk({"role": "assistant", "content": ""})

    def _joined(self, text: str) -> str:
        if self._is_new:
            self._is_new = False
            text = gap(self._said, text) + text
        self._said = text
        return text

    def _call(self, piece: dict[str, Any]) -> bytes:
        return self._chunk({"tool_calls": [{"index": self._calls - 1, **piece}]})

    def _chunk(self, delta: dict[str, Any], finish: FinishReason | None = None) -> bytes:
        return self._head + encoded(delta) + b',"logprobs":null,"finish_reason":' + encoded(finish) + self._tail


def completion(model: str, endings: list[TurnEnded]) -> dict[str, Any]:
    """Make the answer that comes in one piece."""
    choices = [
        {"index": index, "message": _message(ended), "logprobs": None, "finish_reason": finish_reason(ended)}
        for index, ended in enumerate(endings)
    ]
    return _stamp("chat.completion", model) | {"choices": choices, "usage": _usage(endings)}


def error_line(problem: Problem) -> bytes:
    """Spell what went wrong after the stream had begun."""
    return b"data: " + encoded(problem.openai_error) + b"\n\n"


def finish_reason(ended: TurnEnded) -> FinishReason:
    """Say why a turn ended, in the words of this API."""
    if ended.outcome == "incomplete":
        return "content_filter" if ended.reason == "content_filter" else "length"
    return "tool_calls" if any(isinstance(item, FunctionCall) for item in ended.items) else "stop"


def gap(before: str, after: str) -> str:
    """What goes between two messages that become one."""
    return " " if before and after and not before[-1].isspace() and not after[0].isspace() else ""


def _message(ended: TurnEnded) -> dict[str, Any]:
    text = ""
    for item in ended.items:
        if isinstance(item, Message):
            text += gap(text, item.text) + item.text
    calls = [_call(item) for item in ended.items if isinstance(item, FunctionCall)]
    content = text if text or not calls else None
    message = {"role": "assistant", "content": content, "refusal": None}
    return message | {"tool_calls": calls} if calls else message


def _call(call: FunctionCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.call_id, "type": "function", "function": function}


def _stamp(kind: str, model: str) -> dict[str, Any]:
    return {"id": new_id("chatcmpl").replace("_", "-"), "object": kind, "created": int(time.time()), "model": model}


def _usage(endings: list[TurnEnded]) -> dict[str, Any]:
    usage = sum((ended.usage for ended in endings), Usage())
    total = usage.input_tokens + usage.output_tokens
    tokens = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": total,
    }
    return tokens | {"prompt_tokens_details": {"cached_tokens": usage.cached_tokens}} if usage.cached_tokens else tokens
