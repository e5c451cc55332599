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
from charhost.web.http.problems import Problem
from charhost.web.responses.output import Thoughts, output_text, reasoning_item, reasoning_text, token_fields
from charhost.web.responses.response_fields import ResponseFields


class StreamEvents:
    """Encodes the events of one turn; each has the next sequence number."""

    def __init__(self, response: ResponseFields, shows_calls: bool) -> None:
        self._response = response
        self._shows_calls = shows_calls
        self._number = 0
        self._output = response.output
        self._thoughts: Thoughts | None = None

    def encode(self, event: TurnEvent) -> bytes:
        """Return the events of an event of the turn, which the output of the response has already."""
        begun = self._begin() if self._number == 0 else b""
        return begun + self._ended_thoughts() + self._encoded(event)

    def _begin(self) -> bytes:
        fields = self._response.in_progress()
        return self._event("response.created", response=fields) + self._event("response.in_progress", response=fields)

    def _encoded(self, event: TurnEvent) -> bytes:
        match event:
            case RequestReady():
                return b""
            case ReasoningDelta(text=text):
                return b"".join(self._thought(text))
            case TextDelta(item_id=item_id, text=text, logprobs=logprobs):
                return self._text("delta", item_id, delta=text, logprobs=list(map(token_fields, logprobs)))
            case ArgumentsDelta(item_id=item_id, text=text):
                place = self._output.index(item_id)
                return self._event(
                    "response.function_call_arguments.delta", item_id=item_id, output_index=place, delta=text
                )
            case ItemAdded(item=item):
                return b"".join(self._added(item))
            case ItemDone(item=item):
                return b"".join(self._done(item))
            case TurnEnded():
                return self._ended(self._response.ended(event, self._shows_calls))

    def error(self, problem: Problem) -> bytes:
        """Return the event of a fault outside of the turn."""
        return self._event("error", code=problem.code, message=problem.detail, param=problem.param)

    def _thought(self, text: str) -> Iterator[bytes]:
        thoughts = self._output.open
        if thoughts is None:  # it is hidden
            return
        if self._thoughts is None:
            self._thoughts = thoughts
            yield self._item("added", thoughts.index, reasoning_item(thoughts, "in_progress"))
            yield self._part("added", thoughts.id, thoughts.index, reasoning_text(""))
        yield self._reasoning("delta", thoughts, delta=text)

    def _ended_thoughts(self) -> bytes:
        """Return the events that end an item of thinking, if another event has ended it."""
        thoughts = self._thoughts
        if thoughts is None or thoughts is self._output.open:
            return b""
        self._thoughts = None
        return (
            self._reasoning("done", thoughts, text=thoughts.text)
            + self._part("done", thoughts.id, thoughts.index, reasoning_text(thoughts.text))
            + self._item("done", thoughts.index, reasoning_item(thoughts, "completed"))
        )

    def _added(self, item: Message | FunctionCall) -> Iterator[bytes]:
        place = self._output.index(item.id)
        yield self._item("added", place, self._output.item(item))
        if isinstance(item, Message):
            yield self._part("added", item.id, place, output_text(""))

    def _done(self, item: Message | FunctionCall) -> Iterator[bytes]:
        place = self._output.index(item.id)
        if isinstance(item, Message):
            logprobs = self._output.logprobs(item.id)
            yield self._text("done", item.id, text=item.text, logprobs=logprobs)
            yield self._part("done", item.id, place, output_text(item.text, logprobs))
        else:
            yield self._event(
                "response.function_call_arguments.done",
                item_id=item.id,
                output_index=place,
                name=item.name,
                arguments=item.arguments,
            )
        yield self._item("done", place, self._output.item(item))

    def _item(self, step: str, place: int, fields: Json) -> bytes:
        return self._event(f"response.output_item.{step}", output_index=place, item=fields)

    def _part(self, step: str, item_id: str, place: int, part: Json) -> bytes:
        place_of_part = {"item_id": item_id, "output_index": place, "content_index": 0}
        return self._event(f"response.content_part.{step}", **place_of_part, part=part)

    def _text(self, step: str, item_id: str, **fields: Any) -> bytes:
        place = {"item_id": item_id, "output_index": self._output.index(item_id), "content_index": 0}
        return self._event(f"response.output_text.{step}", **place, **fields)

    def _reasoning(self, step: str, thoughts: Thoughts, **fields: Any) -> bytes:
        place = {"item_id": thoughts.id, "output_index": thoughts.index, "content_index": 0}
        return self._event(f"response.reasoning_text.{step}", **place, **fields)

    def _ended(self, fields: Json) -> bytes:
        status = fields["status"]
        return self._event(f"response.{'incomplete' if status == 'cancelled' else status}", response=fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = encoded({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
