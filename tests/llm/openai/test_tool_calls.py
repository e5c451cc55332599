"""The pieces of tool calls in a stream, of servers that number them in different ways."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.llm.model import CallDelta, ModelError
from charhost.llm.openai.tool_calls import MOST_CALLS, ToolCalls, others


def piece(index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: Any = "") -> Any:
    """Return a piece without the fields that are None."""
    fields = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in fields.items() if value is not None}


def deltas(*pieces: dict[str, Any]) -> list[CallDelta]:
    return list(ToolCalls().deltas(pieces))


FIRST, REST = CallDelta(0, "a", "look", ""), CallDelta(0, None, None, "{}")


@pytest.mark.parametrize(
    "pieces",
    [
        (piece(0, "a", "look"), piece(0, None, None, "{}")),
        (piece(0, "a", "look"), piece(0, "a", "look", "{}")),
        (piece(None, "a", "look"), piece(None, "a", None, "{}")),
        (piece(None, "a", "look"), piece(None, None, None, "{}")),
        (piece(7, "a", "look"), piece(7, None, None, "{}")),
    ],
)
def test_piece_continues_its_call(pieces: tuple[Any, ...]) -> None:
    """By its index, by its id, by both, or as the latest one a piece belongs to a call that has begun."""
    assert deltas(*pieces) == [FIRST, REST]


@pytest.mark.parametrize(
    "pieces",
    [
        (piece(0, "a", "look"), piece(1, "b", "go")),
        (piece(0, "a", "look"), piece(0, "b", "go")),
        (piece(None, "a", "look"), piece(None, "b", "go")),
    ],
)
def test_new_id_begins_a_call(pieces: tuple[Any, ...]) -> None:
    """A second id with a name is a second call, whatever its index."""
    assert deltas(*pieces) == [FIRST, CallDelta(1, "b", "go", "")]


def test_call_without_an_id_gets_one() -> None:
    """A name without id and index begins a call with an id of its own."""
    first, second = deltas(piece(None, None, "look"), piece(None, None, "look"))
    assert first.id != second.id


def test_arguments_may_be_an_object() -> None:
    """Arguments that a server did not encode are encoded."""
    assert deltas(piece(0, "a", "look", {"x": 1}))[0].arguments == '{"x":1}'


def test_fields_of_the_server_are_attached() -> None:
    """What a server adds to a call goes back to it, so it is kept."""
    (delta,) = deltas(piece(0, "a", "look") | {"extra_content": {"signature": "s"}})
    assert delta.attached == {"extra_content": {"signature": "s"}}


def test_calls_are_limited() -> None:
    """A model may not call more tools than any client could deal with."""
    many = [piece(number, str(number), "look") for number in range(MOST_CALLS + 1)]
    assert len(deltas(*many[:-1])) == MOST_CALLS
    with pytest.raises(ModelError, match=f"more than {MOST_CALLS} tools"):
        deltas(*many)


def test_response_without_a_call_has_none() -> None:
    """Calls are false until the first has begun."""
    calls = ToolCalls()
    assert not calls
    list(calls.deltas([piece(0, "a", "look")]))
    assert calls


@pytest.mark.parametrize(
    ("fields", "found"), [({"id": 1}, None), ({"id": 1, "x": None, "y": ""}, None), ({"id": 1, "x": 0}, {"x": 0})]
)
def test_other_fields(fields: dict[str, Any], found: Any) -> None:
    """Fields that are not known are kept, empty ones are not."""
    assert others(fields, frozenset({"id"})) == found
