from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import copy
from itertools import takewhile

from charhost.conversation.items import Item, is_system
from charhost.llm.token_estimate import LETTERS_PER_TOKEN

# Items that are too old to be sent to a model can still be found by their id, up to this limit.
MOST_ITEMS = 4_096
MOST_BYTES = 16 << 20


class History:
    """The items of one conversation in their order; hidden items are for the model, not for clients."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self.weight = 0  # in bytes
        self.letters_per_token = float(LETTERS_PER_TOKEN)
        self._items: list[Item] = []
        for item in deque(items, MOST_ITEMS):
            self.append(item)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def copy(self) -> History:
        """Return a history with the same items, to which others can be added."""
        copied = copy(self)
        copied._items = self._items.copy()
        return copied

    def find(self, item_id: str) -> Item | None:
        """Return the visible item with that id."""
        return next((item for item in self._items if item.id == item_id and not item.hidden), None)

    def before(self, item_id: str) -> str | None:
        """Return the id of the visible item before this one, None at the front."""
        try:
            index = self._index(item_id)
        except KeyError:  # it was removed meanwhile
            index = len(self._items)
        return next((item.id for item in reversed(self._items[:index]) if not item.hidden), None)

    def append(self, item: Item) -> None:
        self._insert(len(self._items), item)

    def insert(self, item: Item, after: str | None) -> None:
        """Put *item* behind the one with the id *after*, at the front for None; raises `KeyError`."""
        self._insert(0 if after is None else self._index(after) + 1, item)

    def replace(self, item: Item) -> None:
        with suppress(KeyError):  # it was removed meanwhile
            index = self._index(item.id)
            self.weight += item.weight - self._items[index].weight
            self._items[index] = item

    def remove(self, item_id: str) -> None:
        self._pop(self._index(item_id))

    def learn(self, letters: int, tokens: int) -> None:
        if tokens > 0:
            # Bounded: the chat template adds tokens, which distorts the ratio of a short request.
            self.letters_per_token = min(8.0, max(1.0, letters / tokens))

    def _index(self, item_id: str) -> int:
        # From the end, as most requests are about the last items.
        for index in range(len(self._items) - 1, -1, -1):
            if self._items[index].id == item_id:
                return index
        raise KeyError(item_id)

    def _insert(self, index: int, item: Item) -> None:
        self._items.insert(index, item)
        self.weight += item.weight
        while len(self._items) > MOST_ITEMS or (self.weight > MOST_BYTES and len(self._items) > 1):
            oldest = sum(1 for _ in takewhile(is_system, self._items))
            self._pop(oldest if oldest < len(self._items) - 1 else 0)

    def _pop(self, index: int) -> None:
        self.weight -= self._items.pop(index).weight
