"""Items of conversations as JSON texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from charhost.conversation.items import Audio, FunctionCall, FunctionOutput, Image, Item, Message, Other, Text
from charhost.resume.spelling import item_of, spelled

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


PARTS = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(Image, TEXTS, st.none() | TEXTS),
    st.builds(Audio, st.none() | TEXTS),
    st.builds(Other, st.dictionaries(TEXTS, st.none() | TEXTS | st.integers(-(2**53), 2**53) | st.booleans())),
)


NAMES = st.none() | TEXTS


ITEMS = st.one_of(
    st.builds(
        Message,
        role=st.sampled_from(["user", "system", "assistant"]),
        parts=st.lists(PARTS, max_size=3).map(tuple),
        name=NAMES,
        id=TEXTS,
        status=st.sampled_from(["completed", "incomplete"]),
        hidden=st.booleans(),
    ),
    st.builds(FunctionCall, call_id=TEXTS, name=TEXTS, arguments=TEXTS, id=TEXTS, hidden=st.booleans()),
    st.builds(FunctionOutput, call_id=TEXTS, output=TEXTS, id=TEXTS, hidden=st.booleans()),
)


@given(ITEMS)
def test_every_item_is_read_as_it_was_written(item: Item) -> None:
    """Every kind of item is read as it was written."""
    assert item_of(spelled(item)) == item
