"""StreamEvents: a response as the server-sent events of OpenAI's Responses API."""

from collections.abc import Iterator
from typing import Any

from charhost.conversation.items import FunctionCall, Message
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
from charhost.jsontext import Json, encoded
from charhost.web.problems import Problem
from charhost.web.responses.response_fields import ResponseFields, output_item, output_text


class StreamEvents:
    """Encodes the events of one turn; each has the next sequence number."""

    def __init__(self, response: ResponseFields, shows_calls: bool) -> None:
        self._response = response
        self._shows_calls = shows_calls
        self._number = 0

    def encode(self, event: TurnEvent) -> bytes:
        return self._begin() + self._encoded(event) if self._number == 0 else self._encoded(event)

    def _begin(self) -> bytes:
        fields = self._response.in_progress()
        return self._event("response.created", response=fields) + self._event("response.in_progress", response=fields)

    def _encoded(self, event: TurnEvent) -> bytes:
        match event:
            case RequestReady() | ReasoningDelta():
                return b""
            case TextDelta(item_id=item_id, index=index, text=text):
                return self._event(
                    "response.output_text.delta",
                    item_id=item_id,
                    output_index=index,
                    content_index=0,
                    delta=text,
                    logprobs=[],
                )
            case ArgumentsDelta(item_id=item_id, index=index, text=text):
                return self._event(
                    "response.function_call_arguments.delta", item_id=item_id, output_index=index, delta=text
                )
            case ItemAdded(item=item, index=index):
                return b"".join(self._added(item, index))
            case ItemDone(item=item, index=index):
                return b"".join(self._done(item, index))
            case TurnEnded():
                return self._ended(self._response.ended(event, self._shows_calls))

    def error(self, problem: Problem) -> bytes:
        """Return the event of a fault outside of the turn."""
        return self._event("error", code=problem.code, message=problem.detail, param=problem.param)

    def _added(self, item: Message | FunctionCall, index: int) -> Iterator[bytes]:
        yield self._event("response.output_item.added", output_index=index, item=output_item(item))
        if isinstance(item, Message):
            yield self._part("response.content_part.added", item, index, output_text(""))

    def _done(self, item: Message | FunctionCall, index: int) -> Iterator[bytes]:
        if isinstance(item, Message):
            yield self._event(
                "response.output_text.done",
                item_id=item.id,
                output_index=index,
                content_index=0,
                text=item.text,
                logprobs=[],
            )
            yield self._part("response.content_part.done", item, index, output_text(item.text))
        else:
            yield self._event(
                "response.function_call_arguments.done",
                item_id=item.id,
                output_index=index,
                name=item.name,
                arguments=item.arguments,
            )
        yield self._event("response.output_item.done", output_index=index, item=output_item(item))

    def _part(self, kind: str, item: Message, index: int, part: Json) -> bytes:
        return self._event(kind, item_id=item.id, output_index=index, content_index=0, part=part)

    def _ended(self, fields: Json) -> bytes:
        status = fields["status"]
        return self._event(f"response.{'incomplete' if status == 'cancelled' else status}", response=fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = encoded({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
