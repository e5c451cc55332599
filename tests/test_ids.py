"""Random ids."""

from __future__ import annotations

import pytest

from charhost.ids import is_id, new_id


def test_new_ids_differ() -> None:
    """An id has its prefix, and is of no other call."""
    assert new_id("item") != new_id("item")
    assert is_id(new_id("item"), "item")


@pytest.mark.parametrize("text", ["", "item_", f"item_{'a' * 31}", f"item_{'A' * 32}", f"sess_{'a' * 32}"])
def test_other_text_is_no_id(text: str) -> None:
    """Another prefix, length or letter cannot be an id that was made here."""
    assert not is_id(text, "item")
