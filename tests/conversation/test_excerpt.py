"""Excerpt: which part of a conversation a model is sent."""

from __future__ import annotations

from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charhost.conversation.excerpt import Budget, Cut, Excerpt, excerpt
from charhost.conversation.history import MOST_ITEMS, History
from charhost.conversation.items import FunctionCall, FunctionOutput, Item, Message, Text, parted, turns
from tests.conversation.random_items import ITEMS
from tests.scripted import message

UNLIMITED = 10**9

size = attrgetter("size")


def asked(letter: str, length: int = 1) -> Message:
    return message(letter * length)


def answered(letter: str) -> Message:
    return message(letter, "assistant")


def fitted(items: list[Item], characters: float, both: float = float("inf")) -> Excerpt:
    return excerpt(items, Budget(opening=characters, dialogue=characters, both=both))


def texts(items: list[Item]) -> list[str]:
    return [item.text for item in items if isinstance(item, Message)]


def test_oldest_turns_are_left_out() -> None:
    """What does not fit is left out turn by turn, from the front, and counted in messages."""
    items: list[Item] = []
    for letter in "ace":
        items += [asked(letter, 10), answered("y")]
    assert fitted(items, 33) == Excerpt(items, Cut())
    assert fitted(items, 32) == Excerpt(items[2:], Cut(left_out=2))
    assert fitted(items, 22) == Excerpt(items[2:], Cut(left_out=2))
    assert fitted(items, 21) == Excerpt(items[4:], Cut(left_out=4))


def test_no_turn_is_left_out_between_others() -> None:
    """Where a turn does not fit, the shorter ones before it are left out too."""
    short, long, last = [asked("a"), answered("y")], [asked("b", 99), answered("y")], asked("c")
    assert fitted([*short, *long, last], 10).items == [last]


def test_last_turn_stays_however_long() -> None:
    """If the model's limit is unknown, the last turn is sent whole."""
    question = asked("a", 999)
    call = FunctionCall(call_id="1", name="roll", arguments="{}")
    output = FunctionOutput(call_id="1", output="y" * 999)
    assert fitted([asked("z"), answered("y"), question, call, output], 1).items == [question, call, output]


def test_a_long_question_leaves_room_for_earlier_turns() -> None:
    """A last turn that exceeds the budget alone does not erase the conversation before it."""
    items: list[Item] = [asked("a", 100), answered("b"), asked("c", 5_000)]
    assert fitted(items, 1_000) == Excerpt(items, Cut())


def test_later_system_message_goes_with_its_turn() -> None:
    """A system message between turns is as old as its turn."""
    items: list[Item] = [asked("a"), message("Be brief.", "system"), answered("y"), asked("b")]
    assert fitted(items, 1).items == items[-1:]


def test_nothing_fits_into_nothing() -> None:
    """Without items there is nothing to send."""
    assert fitted([], 100) == Excerpt([], Cut())


def test_a_system_prompt_does_not_erase_the_conversation() -> None:
    """System messages at the front have a budget of their own, beyond which their middle is left out."""
    rules, talk = message("r" * 60_000, "system"), [asked("a", 100), answered("b"), asked("c")]
    whole = excerpt([rules, *talk], Budget(opening=100_000, dialogue=1_000))
    assert whole == Excerpt([rules, *talk], Cut())
    found = excerpt([rules, *talk], Budget(opening=10_000, dialogue=1_000))
    assert found.cut == Cut(shortened=1)
    assert found.items[1:] == talk
    assert 9_990 <= size(found.items[0]) <= 10_000


def test_a_long_document_is_shortened() -> None:
    """A document of an earlier turn keeps its beginning and its end, and a mark counts what is missing."""
    document = message("begin" + "x" * 100_000 + "end")
    found = fitted([asked("a", 100), answered("b"), document, answered("A summary."), asked("Who wrote it?")], 10_000)
    assert found.cut == Cut(shortened=1)
    first, _, shortened, *_ = texts(found.items)
    assert first == "a" * 100
    assert shortened.startswith("beginx")
    assert shortened.endswith("xend")
    missing = 100_008 - 2 * shortened.index("\n")
    assert f"\n[… {missing:,} characters left out …]\n" in shortened
    assert 9_900 <= sum(map(size, found.items)) <= 10_000


def test_a_chinese_document_is_shortened_by_its_tokens() -> None:
    """Each of its characters is about a token, so that it gets a quarter of the characters of an English one."""
    found = fitted([message("始" + "中" * 9_000 + "終"), answered("b"), asked("c")], 4_000)
    shortened = texts(found.items)[0]
    assert shortened.startswith("始中")
    assert shortened.endswith("中終")
    assert 900 <= shortened.count("中") <= 1_000
    assert f" {9_000 - shortened.count('中'):,} characters left out " in shortened
    assert 3_900 <= sum(map(size, found.items)) <= 4_000


def test_long_results_of_tools_are_shortened() -> None:
    """The result of an earlier tool call is shortened, its call stays as it is."""
    call = FunctionCall(call_id="1", name="read", arguments='{"path": "' + "p" * 300 + '"}')
    output = FunctionOutput(call_id="1", output="y" * 9_000)
    found = fitted([asked("a"), call, output, answered("b"), asked("c")], 2_000)
    assert found.items[1] is call
    assert size(found.items[2]) < 2_000
    assert found.cut == Cut(shortened=1)


def test_all_parts_fit_into_the_limit_of_a_model() -> None:
    """If the model's limit is known, system messages and the last turn are shortened too, each to half at most."""
    items: list[Item] = [message("r" * 9_000, "system"), asked("a", 9_000), answered("b"), asked("c", 9_000)]
    found = fitted(items, UNLIMITED, both=8_000)
    sizes = [size(item) for item in found.items]
    assert sum(sizes) <= 8_000
    assert sizes[0] > 3_900
    assert sizes[3] > 1_900
    assert found.cut == Cut(shortened=3)


@given(ITEMS, st.integers(0, 60))
def test_short_items_are_sent_whole(items: list[Item], room: int) -> None:
    """The opening and as many whole turns from the end as fit are sent."""
    opening, later = parted(items)
    whole = list(turns(later))
    ends = [[*opening, *(item for turn in whole[n:] for item in turn)] for n in range(len(whole))]
    found = fitted(items, room)
    assert found.items in ends
    assert found.cut.shortened == 0
    most = max(room, room / 2 + sum(map(size, whole[-1])))
    assert found.items == ends[-1] or sum(map(size, found.items[len(opening) :])) <= most


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 900)), max_size=10), st.integers(4_000, 9_000))
def test_excerpt_keeps_the_last_turns_within_the_limit(shape: list[tuple[int, int]], room: int) -> None:
    """The last turns are sent, none of them without a message, and no more than the model's limit allows."""
    roles = ("user", "assistant", "user", "system")
    items: list[Item] = [message("x" * length, roles[kind]) for kind, length in shape]  # type: ignore[arg-type]
    found = fitted(items, UNLIMITED, both=room)
    opening, later = parted(items)
    whole = list(turns(later))
    ends = [[*opening, *(item for turn in whole[n:] for item in turn)] for n in range(len(whole))]
    assert [item.id for item in found.items] in [[item.id for item in end] for end in ends]
    assert sum(map(size, found.items)) <= room


@given(st.lists(st.integers(0, 2_000), max_size=20), st.integers(0, 9_000), st.integers(0, 9_000))
def test_more_room_never_leaves_out_more(lengths: list[int], room: int, more: int) -> None:
    """A larger budget never leaves out more messages."""
    items: list[Item] = [item for length in lengths for item in (asked("x", length), answered("y"))]
    assert fitted(items, room + more).cut.left_out <= fitted(items, room).cut.left_out


def test_many_items_are_quickly_cut() -> None:
    """A conversation of the largest number of items is cut at once."""
    history = History(Message(role="user", parts=(Text(str(number)),)) for number in range(MOST_ITEMS))
    assert len(fitted(list(history), 10).items) == MOST_ITEMS  # all of them are one turn


@pytest.mark.parametrize(
    ("cut", "counts"), [(Cut(), {}), (Cut(2, 1), {"messages_left_out": 2, "messages_shortened": 1})]
)
def test_counts(cut: Cut, counts: dict[str, int]) -> None:
    """The details of a usage hold only counts that are not zero."""
    assert cut.counts() == counts
