"""Chains: the stored responses, each of which another can go on from."""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from charhost.conversation.dialogue import Heard
from charhost.conversation.history import MOST_ITEMS
from charhost.conversation.items import Item
from charhost.jsontext import Json
from charhost.memory.budget import MemoryBudget
from charhost.memory.weight import weigh

MOST_RESPONSES = 10_000


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class StoredResponse:
    """A response, the items of its input and output, hidden ones too, and the response before it.

    `heard` is of the whole chain, so that its next response need not read all of it.
    """

    id: str
    owner: str
    previous: StoredResponse | None
    input: tuple[Item, ...]
    output: tuple[Item, ...]
    fields: Json
    heard: Heard

    @property
    def weight(self) -> int:
        return weigh(self.id, self.input, self.output, self.fields)

    def chain(self) -> Sequence[StoredResponse]:
        """Return the responses from the first one to this one."""
        links: list[StoredResponse] = []
        link: StoredResponse | None = self
        while link is not None:
            links.append(link)
            link = link.previous
        return links[::-1]

    def items(self) -> list[Item]:
        """Return the items of the chain, of a long one those that a conversation may have."""
        links: list[StoredResponse] = []
        count = 0
        link: StoredResponse | None = self
        while link is not None and count < MOST_ITEMS:
            links.append(link)
            count += len(link.input) + len(link.output)
            link = link.previous
        return [item for link in reversed(links) for item in (*link.input, *link.output)]


class Chains:
    """Keeps responses for *ttl* seconds after their last use, as long as the budget of memory has room.

    The chains that were not used for longest go first, each from its end. A response holds those before it, also
    deleted ones, so the budget counts the responses that exist.
    """

    kind = "responses"

    def __init__(
        self, ttl: float, budget: MemoryBudget | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        budget = budget or MemoryBudget()
        self._ttl = ttl
        self._now = now
        self._kept: OrderedDict[str, tuple[float, StoredResponse]] = OrderedDict()
        self._memory = budget.holding(self.kind)
        budget.add_reserve(self)

    def __len__(self) -> int:
        return len(self._kept)

    async def keep(self, response: StoredResponse, weight: int | None = None) -> None:
        """Add a response that has ended, before its client learns of it; it is kept also if this is cancelled."""
        self.add(response, weight)

    async def recall(self, response_id: str, owner: str) -> None:
        """Make a response known that another node of the fleet has kept; raises `Problem` if it cannot be read."""

    async def forget(self, response_id: str, owner: str) -> bool:
        """Remove a response of that owner everywhere; return whether there was one."""
        return self.remove(response_id, owner)

    async def close(self) -> None:
        """Wait until all that was kept is written."""

    def count(self, response: StoredResponse, weight: int | None = None) -> None:
        """Count the memory of a response, which may be weighed already, as long as it exists."""
        weight = response.weight if weight is None else weight
        weakref.finalize(response, self._memory.free, weight).atexit = False
        self._memory.resize(self._memory.size + weight)

    def add(self, response: StoredResponse, weight: int | None = None) -> None:
        """Keep a response, which may be weighed already."""
        self.count(response, weight)
        self._kept[response.id] = (0.0, response)
        self._touch(response)
        del response  # else the last one could not be released here
        while len(self._kept) > MOST_RESPONSES:
            self._kept.popitem(last=False)

    @property
    def oldest(self) -> float | None:
        self._expire()
        return next(iter(self._kept.values()))[0] - self._ttl if self._kept else None

    def give_up(self) -> None:
        self._kept.popitem(last=False)

    def find(self, response_id: str, owner: str) -> StoredResponse | None:
        """Return a response of that owner, and begin its *ttl* again."""
        self._expire()
        _, response = self._kept.get(response_id, (0.0, None))
        if response is None or response.owner != owner:
            return None
        self._touch(response)
        return response

    def remove(self, response_id: str, owner: str) -> bool:
        """Remove a response of that owner; return whether there was one."""
        if self.find(response_id, owner) is None:
            return False
        del self._kept[response_id]
        return True

    def _expire(self) -> None:
        now = self._now()
        while self._kept and next(iter(self._kept.values()))[0] < now:
            self._kept.popitem(last=False)

    def _touch(self, response: StoredResponse) -> None:
        """Move a chain to the end of the order of removal, its last response before its first."""
        until = self._now() + self._ttl
        for link in reversed(response.chain()):
            if link.id in self._kept:
                self._kept[link.id] = (until, link)
                self._kept.move_to_end(link.id)
