"""The places of the items of a saved conversation."""

from __future__ import annotations

import pytest

from charhost.conversation.items import Item
from charhost.resume.places import Edit, Places
from tests.scripted import message

A, B, C, D = (message(text) for text in "abcd")
WRITTEN: Places = {4: A, 5: B, 7: C}


@pytest.mark.parametrize(
    ("items", "gone", "new"),
    [
        ([A, B, C], (), {}),
        ([A, B, C, D], (), {8: D}),
        ([B, C, D], (4,), {8: D}),
        ([A, C], (5,), {}),
        ([A, D, B, C], (5, 7), {8: D, 9: B, 10: C}),
        ([], (4, 5, 7), {}),
    ],
)
def test_only_what_changed_is_written(items: list[Item], gone: tuple[int, ...], new: Places) -> None:
    """Items that are in order keep their places, and all others follow the last place."""
    edit = Edit.of(WRITTEN, items)
    assert (edit.gone, edit.new, list(edit.after.values())) == (gone, new, items)
    assert edit.is_empty == (items == [A, B, C])


def test_first_items_have_the_first_places() -> None:
    """Nothing is written yet, so places begin at 0."""
    assert Edit.of({}, [A, B]).new == {0: A, 1: B}


def test_equal_item_is_another_one() -> None:
    """Items are told apart as objects, which is quicker than to compare them."""
    other = message("c")
    assert Edit.of(WRITTEN, [A, B, other]).new == {8: other}
