"""Conversations of clients that send all items with each request, as the server keeps them in between."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from charhost.character.character import CharacterSet
from charhost.character.instance import CharacterInstance
from charhost.conversation.dialogue import Dialogue, Place
from charhost.conversation.items import Attached, FunctionCall, FunctionOutput, Item
from charhost.memory.budget import MemoryBudget
from charhost.memory.weight import weigh
from charhost.report import DEFAULT_SET, SessionPolicy

if TYPE_CHECKING:
    from charhost.conversation.turn_events import TurnEnded

# Of one place: its digest, and its key.
_LEAST_BYTES = 512
# In one conversation: calls of the client's tools beside which the server ran some of its own.
_MOST_CALLS = 64
_NOTHING = Attached(None)


@dataclass(frozen=True, slots=True)
class _Hidden:
    """The server's calls and their results in a turn that ended with a call of the client's tools.

    `before` are the items before that call; `calls` are of the same message, and `outputs` their results.
    """

    before: Sequence[Item]
    calls: Sequence[Item]
    outputs: Sequence[Item]


@dataclass(eq=False, slots=True)
class Continued:
    """The state of one conversation: its instance of the character, until a reload, its hidden items and attachments.

    Hidden items are by the id of the client's first call in each turn, attachments of the model's server by the id of
    each of its calls. One request uses it at a time, while `is_busy`.
    """

    instance: CharacterInstance | None = None
    set: str = DEFAULT_SET
    is_busy: bool = False
    _hidden: dict[str, _Hidden] = field(default_factory=dict)
    _attached: dict[str, Attached] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """The bytes in memory; of the state that the instance has only the prompt is known."""
        return weigh(self._hidden, self._attached) + (self.instance.weight if self.instance is not None else 0)

    def restored(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield *items* of the client with the hidden items where they were, and its calls with their attachments."""
        for item in items:
            if isinstance(item, FunctionCall) and item.call_id in self._attached:
                item = replace(item, attached=self._attached[item.call_id])
            kept = self._hidden.get(item.call_id) if isinstance(item, (FunctionCall, FunctionOutput)) else None
            if kept is None:
                yield item
            elif isinstance(item, FunctionCall):
                yield from (*kept.before, item, *kept.calls)
            else:  # not between two calls of one message
                yield from (*kept.outputs, item)

    def keep(self, made: Sequence[Item]) -> None:
        """Keep the hidden items and the attachments of a turn, if the client goes on from a call in it."""
        first = next((item for item in made if isinstance(item, FunctionCall) and not item.hidden), None)
        if first is None:
            return
        index = made.index(first)
        self._attached.update(_attached_to_calls(made, index))
        while len(self._attached) > _MOST_CALLS:
            del self._attached[next(iter(self._attached))]
        if not any(item.hidden for item in made):
            return
        before, after = ([item for item in part if item.hidden] for part in (made[:index], made[index:]))
        calls = [item for item in after if isinstance(item, FunctionCall)]
        outputs = [item for item in after if isinstance(item, FunctionOutput)]
        self._hidden[first.call_id] = _Hidden(before, calls, outputs)
        if len(self._hidden) > _MOST_CALLS:
            del self._hidden[next(iter(self._hidden))]


@dataclass(frozen=True)
class Client:
    """The client of a conversation: the owner of its key, the name of the character, and its own id, if it has one.

    `set` is that of the character.
    """

    owner: str
    character: str
    conversation_id: str = ""
    set: str = field(default=DEFAULT_SET, repr=False)  # in the name of the character already

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(repr(self).encode()).digest()


@dataclass(frozen=True, slots=True)
class _Kept:
    """A conversation, or None for a place that belongs to none, with its weight and the time since when it is kept."""

    conversation: Continued | None
    weight: int
    since: float

    @classmethod
    def of(cls, conversation: Continued | None) -> _Kept:
        weight = conversation.weight if conversation is not None else 0
        return cls(conversation, weight + _LEAST_BYTES, time.monotonic())


class ContinuedConversations:
    """Keeps at most *most* conversations, each for so many *seconds* after its last request.

    A conversation is found by its client and by a digest of the user's messages that had a response already. Without
    an id of the client's, a digest that two conversations have had belongs to none of them. Lives as long as the
    application.
    """

    kind = "conversations"

    def __init__(self, most: int, seconds: float, budget: MemoryBudget | None = None) -> None:
        budget = budget or MemoryBudget()
        self._most = most
        self._seconds = seconds
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()  # the oldest first
        self._memory = budget.holding(self.kind)
        budget.add_reserve(self)

    @property
    def oldest(self) -> float | None:
        self._expire()
        return next(iter(self._kept.values())).since if self._kept else None

    def give_up(self) -> None:
        self._remove(next(iter(self._kept)))

    def claim(self, client: Client, dialogue: Dialogue, make: Callable[[], CharacterInstance]) -> Claim:
        """Return the hold of a request with these items on its conversation.

        That is a new one, with the instance of the character that *make* returns, if none is found or it is busy.
        """
        place = dialogue.place
        found = self._found(_key(client, *place))
        conversation = Continued(set=client.set) if found is None or found.is_busy else found
        instance = conversation.instance = conversation.instance or make()
        conversation.is_busy = True
        claim = Claim(self, client, dialogue.heard.digest, dialogue.calls, conversation, instance)
        claim.register(*([place] if client.conversation_id else ()))
        return claim

    def add(self, client: Client, place: Place, conversation: Continued) -> None:
        self._expire()
        key = _key(client, *place)
        present = self._kept[key].conversation if key in self._kept else conversation
        is_certain = present is conversation or bool(client.conversation_id)
        self._remove(key)
        self._kept[key] = kept = _Kept.of(present if is_certain else None)
        self._memory.resize(self._memory.size + kept.weight)
        while len(self._kept) > self._most:
            self.give_up()

    def follow(self, name: str, policy: SessionPolicy, characters: CharacterSet) -> None:
        """Apply a reload of the set called *name* as to sessions.

        Only those that stay on their version of the character keep its state.
        """
        for kept in self._kept.values():
            conversation = kept.conversation
            if conversation is None:
                continue
            instance = conversation.instance
            if conversation.set != name or instance is None or policy == "keep":
                continue
            if policy == "close" or characters.get(instance.character.name) is not instance.character:
                conversation.instance = None

    def _found(self, key: bytes) -> Continued | None:
        self._expire()
        kept = self._kept.get(key)
        return kept.conversation if kept is not None else None

    def _expire(self) -> None:
        now = time.monotonic()
        while self._kept and next(iter(self._kept.values())).since + self._seconds <= now:
            self.give_up()

    def _remove(self, key: bytes) -> None:
        if (kept := self._kept.pop(key, None)) is not None:
            self._memory.resize(self._memory.size - kept.weight)


@dataclass(eq=False, slots=True)
class Claim:
    """The hold of one request on its conversation; as a context manager it ends with the block at the latest."""

    _all: ContinuedConversations
    _client: Client
    _digest: bytes
    _calls: tuple[str, ...]
    _conversation: Continued
    instance: CharacterInstance
    _is_over: bool = False

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def restored(self, items: Iterable[Item]) -> list[Item]:
        """Return *items* of the client with those that it never saw."""
        return list(self._conversation.restored(items))

    def keep(self, ended: TurnEnded) -> None:
        """Keep the items that a turn of the request made."""
        self._conversation.keep(ended.made)
        calls = tuple(item.call_id for item in ended.items if isinstance(item, FunctionCall))
        self.register((self._digest, self._calls + calls))

    def release(self) -> None:
        """Let the next request use the conversation; the client may send it as soon as it has the response."""
        if not self._is_over:
            self._is_over = True
            self._conversation.is_busy = False

    def register(self, *places: Place) -> None:
        """Have the conversation found by the next request, also if it stands at one of *places*."""
        for digest, calls in dict.fromkeys(((self._digest, ()), (self._digest, self._calls), *places)):
            # Every conversation begins without a message of the user.
            if digest or calls or self._client.conversation_id:
                self._all.add(self._client, (digest, calls), self._conversation)


def _attached_to_calls(made: Sequence[Item], index: int) -> Iterator[tuple[str, Attached]]:
    """Yield the attachments of the client's calls, and with the first, at *index*, those of their whole message.

    Clients seldom send them back, and thinking that is hidden they cannot.
    """
    start = max((at for at in range(index) if isinstance(made[at], FunctionOutput)), default=-1) + 1
    carriers = (item.attached for item in made[start:] if item.attached is not None)
    whole = next((attached for attached in carriers if attached.message), None)
    for call in made[index:]:
        if isinstance(call, FunctionCall) and not call.hidden:
            own, shared = call.attached or _NOTHING, whole if call is made[index] and whole else _NOTHING
            if attached := Attached.of(own.endpoint or shared.endpoint, shared.message, own.call):
                yield call.call_id, attached


def _key(client: Client, digest: bytes, calls: tuple[str, ...]) -> bytes:
    return hashlib.sha256(client.digest + repr((digest, calls)).encode()).digest()
