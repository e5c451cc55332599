"""History: the items of a conversation, and which of them a model is sent."""

from __future__ import annotations

import pytest

from charhost.conversation import history
from charhost.conversation.history import MOST_BYTES, MOST_ITEMS, History
from charhost.conversation.items import Image, Item, Message, Text


def text_item(item_id: str, *, text: str = "x", hidden: bool = False) -> Message:
    return Message(role="user", parts=(Text(text),), id=item_id, hidden=hidden)


def holding(*items: Item) -> History:
    """A history of those items."""
    kept = History()
    for item in items:
        kept.append(item)
    return kept


def ids(kept: History) -> list[str]:
    return [item.id for item in kept]


def test_items_are_in_their_order() -> None:
    """An appended item is the last one."""
    kept = holding(text_item("a"), text_item("b"))
    assert (ids(kept), len(kept)) == (["a", "b"], 2)


@pytest.mark.parametrize(("after", "order"), [(None, "xab"), ("a", "axb"), ("b", "abx")])
def test_insert(after: str | None, order: str) -> None:
    """An item is inserted after the named one, and at the front without one."""
    kept = holding(text_item("a"), text_item("b"))
    kept.insert(text_item("x"), after)
    assert ids(kept) == list(order)


def test_insert_behind_what_is_not_there() -> None:
    """A place that does not exist is an error, and nothing is changed."""
    kept = holding(text_item("a"))
    with pytest.raises(KeyError):
        kept.insert(text_item("x"), "b")
    assert ids(kept) == ["a"]


def test_remove() -> None:
    """An item that is removed is gone; removing it again is an error."""
    kept = holding(text_item("a"), text_item("b"))
    kept.remove("a")
    with pytest.raises(KeyError):
        kept.remove("a")
    assert ids(kept) == ["b"]


def test_replace() -> None:
    """An item takes the place of the one with its id."""
    kept = holding(text_item("a"), text_item("b"))
    kept.replace(text_item("a", text="new"))
    assert [item.text for item in kept if isinstance(item, Message)] == ["new", "x"]


def test_replace_what_was_removed() -> None:
    """An item that a client removed is not replaced."""
    kept = holding(text_item("a"))
    kept.replace(text_item("b"))
    assert ids(kept) == ["a"]


def test_find() -> None:
    """An item is found by its id if clients can see it."""
    kept = holding(text_item("a"), text_item("b", hidden=True))
    found = kept.find("a")
    assert found is not None
    assert found.id == "a"
    assert (kept.find("b"), kept.find("c")) == (None, None)


def test_before_skips_what_is_hidden() -> None:
    """Clients receive the id of the last visible item before."""
    kept = holding(text_item("a"), text_item("b", hidden=True), text_item("c"))
    assert (kept.before("a"), kept.before("c")) == (None, "a")


def test_too_many_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversation without end forgets its oldest items."""
    monkeypatch.setattr(history, "MOST_ITEMS", 2)
    assert ids(holding(text_item("a"), text_item("b"), text_item("c"))) == ["b", "c"]


def test_opening_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system messages at the front are kept longer than later items."""
    monkeypatch.setattr(history, "MOST_ITEMS", 3)
    rules = [Message(role="system", parts=(Text("x"),), id=name) for name in "rs"]
    assert ids(holding(*rules, text_item("a"), text_item("b"), text_item("c"))) == ["r", "s", "c"]
    rules.append(Message(role="system", parts=(Text("x"),), id="t"))
    assert ids(holding(*rules, text_item("a"))) == ["s", "t", "a"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history has room for the bytes of two texts of 10,000 letters, and for a little more."""
    monkeypatch.setattr(history, "MOST_BYTES", 25_000)


def test_too_many_bytes(small: None) -> None:
    """Over the limit of bytes the oldest items are dropped, but the last one stays."""
    kept = holding(text_item("a", text="x" * 10_000), text_item("b", text="x" * 10_000))
    assert ids(kept) == ["a", "b"]
    kept.append(text_item("c", text="x" * 99_000))
    assert ids(kept) == ["c"]


def test_what_was_removed_counts_no_more(small: None) -> None:
    """Bytes that were removed or replaced make room for others."""
    kept = holding(text_item("a", text="x" * 10_000), text_item("b", text="x" * 10_000))
    kept.remove("a")
    kept.replace(text_item("b", text="x"))
    kept.append(text_item("c", text="x" * 19_000))
    assert ids(kept) == ["b", "c"]


def test_what_was_forgotten_counts_no_more(small: None) -> None:
    """Each item that is forgotten makes room for as much as it had."""
    kept = holding(*(text_item(str(n), text="x" * 10_000) for n in range(9)))
    assert ids(kept) == ["7", "8"]


def test_letters_count_with_the_bytes_they_take(small: None) -> None:
    """One emoji among letters makes each of them take four bytes."""
    kept = holding(*(text_item(str(n), text="x" * 5_000 + "\N{GRINNING FACE}") for n in range(2)))
    assert ids(kept) == ["1"]


def test_empty_parts_count() -> None:
    """Thirty thousand empty parts are more than a megabyte."""
    kept = holding(Message(role="user", parts=tuple(Text("") for _ in range(30_000))))
    assert kept.weight > 1 << 20


@pytest.mark.parametrize(
    ("characters", "tokens", "learnt"), [(300, 100, 3.0), (10, 100, 1.0), (9_000, 100, 8.0), (100, 0, 4.0)]
)
def test_length_of_a_token_is_learnt(characters: int, tokens: int, learnt: float) -> None:
    """The length of a token is four characters until the model's usage gives another, within bounds."""
    kept = History()
    assert kept.letters_per_token == 4.0
    kept.learn(characters, tokens)
    assert kept.letters_per_token == learnt


def test_many_items_are_quickly_put_in() -> None:
    """The cost of a message does not grow with the number of messages, up to a hundred thousand."""
    history = History()
    for number in range(100_000):
        history.append(Message(role="user", parts=(Text(str(number)),)))
    assert len(history) == MOST_ITEMS


def test_an_image_weighs_what_it_takes() -> None:
    """The history is bounded by the memory of an image, though a model counts it as a page."""
    history = History()
    for _ in range(5):
        history.append(Message(role="user", parts=(Image("data:," + "A" * (MOST_BYTES // 3)),)))
    assert len(history) == 2
    assert history.weight <= MOST_BYTES
