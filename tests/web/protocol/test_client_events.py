"""Realtime events: those of clients are checked, and those of the server become frames of JSON text."""

from __future__ import annotations

import json

import pytest

from charhost.ids import new_id
from charhost.web.http.client_model import ClientModel
from charhost.web.protocol.client_events import (
    CHARACTER_KINDS,
    KINDS,
    MOST_TEXT,
    CallItem,
    InputText,
    ItemCreate,
    ResponseCreate,
    SessionUpdate,
    checked,
    decoded,
    event_id_of,
)
from charhost.web.protocol.frames import InvalidEvent


def parsed(event: object) -> ClientModel:
    """A client event from its JSON."""
    return checked(decoded(event if isinstance(event, str) else json.dumps(event)))


def refused(event: object) -> tuple[str, str | None]:
    """Return code and param of the error of an event that is refused."""
    with pytest.raises(InvalidEvent) as caught:
        parsed(event)
    return caught.value.code, caught.value.param


def create(**item: object) -> dict[str, object]:
    """The event that creates an item."""
    return {"type": "conversation.item.create", "item": item}


@pytest.mark.parametrize(
    "text",
    ["", "hello", "{", "5", "null", "[]", '"session.update"', "{}", '{"type": 5}', '{"type": null}', "[" * 100_000],
)
def test_what_is_no_event_is_invalid_json(text: str) -> None:
    """Text that is no JSON object with a string `type` is refused as such."""
    assert refused(text) == ("invalid_json", None)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_know(number: str) -> None:
    """NaN and Infinity, which only Python's json module accepts, are refused."""
    assert refused(f'{{"type": "session.update", "session": {{"temperature": {number}}}}}') == ("invalid_json", None)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r"\ud83d", "\ufffd"),
        (r"\udc00x", "\ufffdx"),
        (r"\uD83D\uDE00", "\U0001f600"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
    ],
)
def test_half_an_emoji_is_replaced(sent: str, read: str) -> None:
    """JavaScript cuts texts in the middle of an emoji; the whole ones stay."""
    assert decoded(f'{{"type": "x", "text": "{sent}"}}')["text"] == read


def test_a_backslash_is_no_surrogate() -> None:
    """A text that spells an escape is left as it is."""
    assert decoded(r'{"type": "x", "text": "\\ud83d"}')["text"] == r"\ud83d"


def test_the_id_of_an_event() -> None:
    """Only a valid event id is sent back."""
    assert [event_id_of(event) for event in ({"event_id": "e1"}, {"event_id": 5}, {})] == ["e1", None, None]


def test_a_session_update_carries_the_clients_parameters() -> None:
    """The session of an update is passed on unchanged."""
    session = {"model": "Ada", "instructions": "Be brief."}
    assert parsed({"type": "session.update", "session": session}) == SessionUpdate(session=session)


def test_a_message_is_read() -> None:
    """An item has its own type, and so has each part of its content."""
    event = parsed(create(type="message", role="user", content=[{"type": "input_text", "text": "Hi"}]))
    assert isinstance(event, ItemCreate)
    assert not isinstance(event.item, CallItem)
    assert event.item.type == "message"
    assert event.item.content == [InputText(type="input_text", text="Hi")]


def test_a_response_may_set_no_parameter() -> None:
    """`response` is optional, and may be null."""
    for event in ({"type": "response.create"}, {"type": "response.create", "response": None}):
        assert parsed(event) == ResponseCreate(response=None)


def test_unknown_fields_are_ignored() -> None:
    """Fields that are not used here pass, as SDKs add new ones every month."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "", "new": 1}], "new": 1}
    assert isinstance(parsed(create(**item) | {"new": 1}), ItemCreate)


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    """The refusal of an unknown type lists the types there are."""
    with pytest.raises(InvalidEvent) as caught:
        parsed({"type": "nope"})
    assert (caught.value.code, caught.value.param) == ("invalid_value", "type")
    assert str(caught.value) == f"Unknown type 'nope'. Supported types are: {', '.join((*KINDS, *CHARACTER_KINDS))}."


def test_a_long_type_is_not_repeated_whole() -> None:
    """Only the beginning of it is."""
    with pytest.raises(InvalidEvent, match=r"^Unknown type 'x{79}…\. Supported types are: "):
        parsed({"type": "x" * 1000})


@pytest.mark.parametrize("kind", ["session.update", "conversation.item.retrieve", "input_audio_buffer.append"])
def test_a_missing_field_is_named(kind: str) -> None:
    """The error names the missing field."""
    field = {"session.update": "session", "conversation.item.retrieve": "item_id"}.get(kind, "audio")
    with pytest.raises(InvalidEvent) as caught:
        parsed({"type": kind})
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", field)
    assert str(caught.value) == f"Missing required parameter: '{field}'."


def test_every_event_needs_an_object() -> None:
    """A field of the wrong JSON type has another error than one with a wrong value."""
    assert refused({"type": "session.update", "session": 5}) == ("invalid_type", "session")
    assert refused({"type": "response.create", "response": []}) == ("invalid_type", "response")


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "x"}, "invalid_value", "item.type"),
        ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "user", "content": [5]}, "invalid_type", "item.content[0]"),
        ({"type": "message", "role": "user", "content": [{"type": "x"}]}, "invalid_value", "item.content[0].type"),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": 5}]},
            "invalid_type",
            "item.content[0].text",
        ),
        ({"type": "function_call", "call_id": "c", "arguments": "{}"}, "missing_required_parameter", "item.name"),
        ({"type": "function_call_output", "call_id": "c", "output": 5}, "invalid_type", "item.output"),
    ],
)
def test_a_bad_item_is_named_with_its_path(item: dict[str, object], code: str, param: str) -> None:
    """The path is the one in the client's JSON, without the names that pydantic gives to kinds of items."""
    assert refused(create(**item)) == (code, param)


def test_a_long_text_is_refused() -> None:
    """A text that would make an event of more than 1 MiB is refused."""
    for length, fits in ((MOST_TEXT, True), (MOST_TEXT + 1, False)):
        event = create(type="message", role="user", content=[{"type": "input_text", "text": "x" * length}])
        assert fits is isinstance(parsed(event), ItemCreate) if fits else refused(event)[0] == "invalid_value"


def test_ids_begin_with_their_kind() -> None:
    """An id begins with the kind of its thing, as clients expect."""
    assert new_id("sess").startswith("sess_")
    assert len(new_id("sess")) > 20
