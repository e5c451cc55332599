"""Items, and the turns that they make."""

from __future__ import annotations

import pytest
from hypothesis import given

from charhost.conversation.items import (
    Audio,
    FunctionCall,
    FunctionOutput,
    Image,
    Item,
    Message,
    Text,
    parted,
    turns,
)
from tests.conversation.random_items import ITEMS
from tests.scripted import message


def called(call_id: str, name: str = "roll", arguments: str = "{}") -> FunctionCall:
    return FunctionCall(call_id=call_id, name=name, arguments=arguments)


def brought(call_id: str, output: str = "4") -> FunctionOutput:
    return FunctionOutput(call_id=call_id, output=output)


def test_ids_differ() -> None:
    """Each item has an id of its own, unless it brings one."""
    assert message("a").id != message("a").id
    assert message("a").id.startswith("item_")
    assert Message(role="user", parts=(), id="mine").id == "mine"


def test_text_of_a_message() -> None:
    """The text is that of the words alone."""
    assert Message(role="user", parts=(Text("a"), Image("b"), Audio("c"), Text("d"))).text == "a\nd"


def test_a_turn_begins_with_the_user() -> None:
    """Calls, results and messages after the user's belong to the same turn."""
    first: list[Item] = [message("a"), called("1"), brought("1"), message("b", "assistant")]
    second: list[Item] = [message("c"), message("d", "assistant")]
    assert list(turns([*first, *second])) == [first, second]


def test_two_messages_in_a_row_are_one_turn() -> None:
    """Two consecutive messages of the user begin one turn."""
    items: list[Item] = [message("a"), message("b"), message("c", "assistant")]
    assert list(turns(items)) == [items]


def test_first_turn_may_begin_otherwise() -> None:
    """Items before the first message of the user are a turn."""
    greeting, question = message("Welcome.", "assistant"), message("Hi")
    assert list(turns([greeting, question])) == [[greeting], [question]]


@given(ITEMS)
def test_turns_are_all_there_is(items: list[Item]) -> None:
    """The turns together are all items in their order, without the system messages at the front."""
    assert [item for turn in turns(items) for item in turn] == items
    opening, dialogue = parted(items)
    assert [*opening, *dialogue] == items
    assert all(item.role == "system" for item in opening)
    assert not dialogue or not isinstance(dialogue[0], Message) or dialogue[0].role != "system"


@pytest.mark.parametrize(
    ("item", "characters"),
    [
        (message("four"), 4),
        (Message(role="user", parts=(Text("four"), Image("x" * 90_000))), 4_004),
        (Message(role="user", parts=(Audio("heard"),)), 5),
        (Message(role="user", parts=(Audio(),)), len("(Something was said that could not be heard.)")),
        (called("long id", "roll", "{}"), 6),
        (brought("long id", "12345"), 5),
    ],
)
def test_size_is_what_a_model_reads(item: Item, characters: int) -> None:
    """An item is as long as its words; an image counts as a page, however many bytes it has."""
    assert item.size == characters
