"""How long stored responses are kept, and for which owner."""

from __future__ import annotations

import pytest

from charhost.conversation.dialogue import Heard
from charhost.conversation.history import MOST_ITEMS
from charhost.conversation.items import Message, Text
from charhost.memory.budget import MemoryBudget
from charhost.web.responses.chains import Chains, StoredResponse
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> Chains:
    """Chains that are kept for ten seconds."""
    return Chains(10, now=clock)


def message(text: str) -> Message:
    return Message(role="user", parts=(Text(text),))


def stored(
    response_id: str, previous: StoredResponse | None = None, owner: str = "", text: str = "x"
) -> StoredResponse:
    """A response to one message."""
    sent, made = (message(text),), (message(f"re: {text}"),)
    heard = (previous.heard if previous is not None else Heard()).after(sent)
    return StoredResponse(response_id, owner, previous, sent, made, {}, heard)


def test_items_of_a_chain(kept: Chains) -> None:
    """A response has the items of those before it, in order."""
    last = stored("b", stored("a", text="one"), text="two")
    assert [item.text for item in last.items() if isinstance(item, Message)] == ["one", "re: one", "two", "re: two"]


def test_the_next_response_reads_the_end_of_a_long_chain() -> None:
    """A chain has as many items as a conversation, and its digests are still those of all messages."""
    last = stored("0", text="0")
    for number in range(1, 3_000):
        last = stored(str(number), last, text=str(number))
    items = last.items()
    assert len(items) == MOST_ITEMS
    assert [item.text for item in items[-2:] if isinstance(item, Message)] == ["2999", "re: 2999"]
    assert last.heard == Heard().after(message(str(number)) for number in range(3_000))


def test_another_owner_finds_nothing(kept: Chains) -> None:
    """A response is found, and removed, by its owner only."""
    kept.add(stored("a", owner="me"))
    assert kept.find("a", "you") is None
    assert not kept.remove("a", "you")
    assert kept.find("a", "me") is not None


def test_use_keeps_a_chain(kept: Chains, clock: Clock) -> None:
    """The use of the last response keeps those before it; unused ones go."""
    first = stored("a")
    for response in (first, stored("b", first), stored("other")):
        kept.add(response)
    clock.now = 8
    assert kept.find("b", "") is not None
    clock.now = 15
    assert [kept.find(name, "") is not None for name in ("a", "b", "other")] == [True, True, False]


def limited(clock: Clock, size: int) -> Chains:
    """Chains with room for so many bytes."""
    return Chains(10, MemoryBudget(size), clock)


def test_budget(clock: Clock) -> None:
    """Over the budget the chain that was not used for longest goes first, from its end."""
    kept = limited(clock, 3 * stored("a", text="x" * 2_000).weight + 3_000)
    first = stored("a", text="x" * 2_000)
    for response in (first, stored("b", first, text="x" * 2_000), stored("c", text="x" * 2_000)):
        kept.add(response)
    del first, response
    kept.add(stored("d", text="x" * 2_000))
    assert [kept.find(name, "") is not None for name in "abcd"] == [True, False, True, True]


def test_deleted_responses_count_while_they_are_held(clock: Clock) -> None:
    """A deleted response whose successor exists is part of the budget."""
    kept = limited(clock, 20_000)
    first = stored("a", text="x" * 8_000)
    kept.add(first)
    kept.add(stored("b", first))
    del first
    kept.remove("a", "")
    kept.add(stored("c", text="x" * 1_000))
    assert [kept.find(name, "") is not None for name in "bc"] == [False, True]
    assert len(kept) == 1
