"""The server events of one turn; test_openai.py shows that clients can read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from charhost.conversation.history import History
from charhost.conversation.items import FunctionCall, Message, Text
from charhost.conversation.turn_events import (
    ArgumentsDelta,
    ItemAdded,
    ItemDone,
    TextDelta,
    TurnEnded,
    TurnEvent,
    TurnFailure,
)
from charhost.llm.model import Usage
from charhost.web.protocol.response_events import ResponseEvents

QUESTION = Message(id="item_0", role="user", parts=(Text("Hello?"),))
BEGUN = Message(id="item_1", role="assistant", parts=(), status="in_progress")
SAID = Message(id="item_1", role="assistant", parts=(Text("Hi."),))
CALLING = FunctionCall(id="item_2", call_id="call_1", name="f", arguments="", status="in_progress")
CALLED = FunctionCall(id="item_2", call_id="call_1", name="f", arguments="{}")
WHERE = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}


class Recorder:
    """Records the events that are sent."""

    def __init__(self, sent: list[tuple[str, dict[str, Any]]]) -> None:
        self._sent = sent

    def emit(self, kind: str, /, **fields: Any) -> None:
        self._sent.append((kind, fields))

    def deltas(self, kind: str, fields: dict[str, Any]) -> Callable[[str], None]:
        return lambda delta: self.emit(kind, **fields, delta=delta)

    def sounds(self, kind: str, fields: dict[str, Any]) -> Callable[[str, int], None]:
        return lambda delta, size: self.emit(kind, **fields, delta=delta)


def sent_of(
    *events: TurnEvent, conversation: str | None = "conv_1", history: History | None = None
) -> list[tuple[str, dict[str, Any]]]:
    """Return the events that are sent."""
    sent: list[tuple[str, dict[str, Any]]] = []
    response: dict[str, Any] = {
        "id": "resp_1",
        "conversation_id": conversation,
        "status": "in_progress",
        "output": [],
        "output_modalities": ["text"],
    }
    encoder = ResponseEvents(Recorder(sent), response, (history or History()).before)
    for event in events:
        encoder.send(event)
    return sent


def ended(**fields: Any) -> dict[str, Any]:
    """The response at its end."""
    values: dict[str, Any] = {"outcome": "completed", "items": (), "usage": Usage(), **fields}
    ((kind, sent),) = sent_of(TurnEnded(**values))
    assert kind == "response.done"
    response: dict[str, Any] = sent["response"]
    return response


def test_a_message_begins() -> None:
    """The item is added to the response, then to the conversation, and then its only part begins."""
    item: dict[str, Any] = {"id": "item_1", "object": "realtime.item", "status": "in_progress"}
    item |= {"type": "message", "role": "assistant", "content": []}
    history = History([QUESTION, BEGUN])
    assert sent_of(ItemAdded(BEGUN, 0), history=history) == [
        ("response.output_item.added", {"response_id": "resp_1", "output_index": 0, "item": item}),
        ("conversation.item.added", {"previous_item_id": "item_0", "item": item}),
        ("response.content_part.added", WHERE | {"part": {"type": "text", "text": ""}}),
    ]


def test_words() -> None:
    """A delta names its item and its place."""
    assert sent_of(TextDelta("item_1", 0, "Hi")) == [("response.output_text.delta", WHERE | {"delta": "Hi"})]


def test_a_message_ends() -> None:
    """Text, part, conversation and response, in this order; part and content have two vocabularies."""
    sent = sent_of(ItemDone(SAID, 0))
    item = sent[3][1]["item"]
    assert (item["status"], item["content"]) == ("completed", [{"type": "output_text", "text": "Hi."}])
    assert sent == [
        ("response.output_text.done", WHERE | {"text": "Hi."}),
        ("response.content_part.done", WHERE | {"part": {"type": "text", "text": "Hi."}}),
        ("conversation.item.done", {"previous_item_id": None, "item": item}),
        ("response.output_item.done", {"response_id": "resp_1", "output_index": 0, "item": item}),
    ]


def test_an_item_that_was_deleted_is_not_named() -> None:
    """A client that deletes an item while a response begins is sent the place that the new one has then."""
    history = History([QUESTION, BEGUN])
    added = ItemAdded(BEGUN, 0)
    history.remove(QUESTION.id)
    sent = dict(sent_of(added, history=history))
    assert sent["conversation.item.added"]["previous_item_id"] is None


def test_a_call() -> None:
    """A call has no content parts; its arguments are sent in deltas and then as a whole, with its name."""
    events = (
        ItemAdded(CALLING, 1),
        ArgumentsDelta("item_2", "call_1", 1, "{}"),
        ItemDone(CALLED, 1),
    )
    sent = sent_of(*events)
    where = {"response_id": "resp_1", "item_id": "item_2", "output_index": 1, "call_id": "call_1"}
    assert [kind for kind, _ in sent][:2] == ["response.output_item.added", "conversation.item.added"]
    assert sent[2] == ("response.function_call_arguments.delta", where | {"delta": "{}"})
    assert sent[3] == ("response.function_call_arguments.done", where | {"name": "f", "arguments": "{}"})
    assert [kind for kind, _ in sent][4:] == ["conversation.item.done", "response.output_item.done"]


def test_an_aside() -> None:
    """A response out of band has no events of the conversation."""
    sent = sent_of(ItemAdded(BEGUN, 0), ItemDone(SAID, 0), conversation=None)
    assert not [kind for kind, _ in sent if kind.startswith("conversation.")]
    assert len(sent) == 5


def test_the_last_event_repeats_the_text() -> None:
    """The end of a response has all its items, as they were sent."""
    response = ended(items=(SAID, CALLED))
    assert [item["id"] for item in response["output"]] == ["item_1", "item_2"]
    assert (response["status"], response["status_details"], response["conversation_id"]) == (
        "completed",
        None,
        "conv_1",
    )


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("cancelled", "client_cancelled"), ("cancelled", "turn_detected"), ("incomplete", "max_output_tokens")],
)
def test_why_there_is_no_more(outcome: str, reason: str) -> None:
    """A response that was cut has the reason."""
    response = ended(outcome=outcome, reason=reason)
    assert (response["status"], response["status_details"]) == (outcome, {"type": outcome, "reason": reason})


def test_why_it_failed() -> None:
    """A failure has its code and a text."""
    details = ended(outcome="failed", failure=TurnFailure("upstream_error", "No."))["status_details"]
    assert details == {
        "type": "failed",
        "error": {"type": "server_error", "code": "upstream_error", "message": "No."},
    }


def test_what_it_cost() -> None:
    """All counts are integers, for clients that add them up."""
    assert ended(usage=Usage(7, 3, 2))["usage"] == {
        "total_tokens": 10,
        "input_tokens": 7,
        "output_tokens": 3,
        "input_token_details": {
            "text_tokens": 7,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 2,
            "cached_tokens_details": {"text_tokens": 2, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": 3, "audio_tokens": 0},
    }
