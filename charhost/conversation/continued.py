"""Conversations of clients that send all items with each request: what the server keeps of them in between."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cachetools import TTLCache

from charhost.conversation.items import FunctionCall, FunctionOutput, Item, Message, weight
from charhost.conversation.turn_events import TurnEnded

# All conversations together.
MOST_CHARACTERS = 256 << 20
# In one conversation: calls of the client's tools beside which the server ran some of its own.
_MOST_CALLS = 64


@dataclass(frozen=True, slots=True)
class _Hidden:
    """The server's calls and their results in a turn that ended with a call of the client's tools.

    `before` is what came before that call; `calls` are of the same message, and `outputs` their results.
    """

    before: Sequence[Item]
    calls: Sequence[Item]
    outputs: Sequence[Item]


@dataclass(eq=False, slots=True)
class Continued:
    """What is kept of one conversation: the hidden items of its turns, by the id of the client's first call in each."""

    _hidden: dict[str, _Hidden] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """The characters in memory."""
        hidden = self._hidden.values()
        return sum(weight(item) for kept in hidden for item in (*kept.before, *kept.calls, *kept.outputs))

    def restored(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield *items* of the client with the hidden items where they were."""
        for item in items:
            kept = self._hidden.get(item.call_id) if isinstance(item, (FunctionCall, FunctionOutput)) else None
            if kept is None:
                yield item
            elif isinstance(item, FunctionCall):
                yield from (*kept.before, item, *kept.calls)
            else:  # not between two calls of one message
                yield from (*kept.outputs, item)

    def keep(self, made: Sequence[Item]) -> None:
        """Keep the hidden items among those that a turn *made*."""
        first = next((item for item in made if isinstance(item, FunctionCall) and not item.hidden), None)
        if first is None or not any(item.hidden for item in made):
            return
        index = made.index(first)
        before, after = ([item for item in part if item.hidden] for part in (made[:index], made[index:]))
        calls = [item for item in after if isinstance(item, FunctionCall)]
        outputs = [item for item in after if isinstance(item, FunctionOutput)]
        self._hidden[first.call_id] = _Hidden(before, calls, outputs)
        if len(self._hidden) > _MOST_CALLS:
            del self._hidden[next(iter(self._hidden))]


class ContinuedConversations:
    """Keeps at most *most* conversations, each for so many *seconds* after its last request.

    A conversation is found by its client and by a digest of the user's messages that had a response already. A digest
    that two conversations have had belongs to none of them. Lives as long as the application.
    """

    def __init__(self, most: int, seconds: float) -> None:
        share = MOST_CHARACTERS / max(1, most)
        self._kept: TTLCache[bytes, Continued | None] = TTLCache(
            MOST_CHARACTERS, seconds if most else 0, getsizeof=lambda kept: max(share, kept.weight if kept else 0)
        )

    def claim(self, client: Sequence[str], items: Sequence[Item]) -> Claim:
        """Return the hold of a request with *items* on its conversation, which is new if none is found."""
        messages = [item for item in items if isinstance(item, Message) and item.role == "user"]
        said = [message.parts for message in messages]
        latest = items[items.index(messages[-1]) :] if messages else items
        calls = tuple(item.call_id for item in latest if isinstance(item, FunctionCall))
        is_answered = bool(items) and (not messages or items[-1] is not messages[-1])
        key = _key(client, said, calls) if is_answered else _key(client, said[:-1])
        claim = Claim(self, client, said, calls, self._kept.get(key) or Continued())
        claim.register()
        return claim

    def add(self, key: bytes, conversation: Continued) -> None:
        is_its_own = self._kept.get(key, conversation) is conversation
        self._kept[key] = conversation if is_its_own else None


@dataclass(eq=False, slots=True)
class Claim:
    """The hold of one request on its conversation."""

    _all: ContinuedConversations
    _client: Sequence[str]
    _said: Sequence[Sequence[object]]
    _calls: Sequence[str]
    conversation: Continued

    def end(self, ended: TurnEnded) -> None:
        """Keep what a turn of the request made, before its client can send the next one."""
        self.conversation.keep(ended.made)
        self.register([item.call_id for item in ended.items if isinstance(item, FunctionCall)])

    def register(self, calls: Sequence[str] = ()) -> None:
        """Have the conversation found by the next request, which may have the results of *calls*."""
        for made in ((), self._calls, (*self._calls, *calls)):
            if self._said or made:  # else it would be the beginning of every conversation
                self._all.add(_key(self._client, self._said, made), self.conversation)


def _key(client: Sequence[str], said: Sequence[Sequence[object]], calls: Sequence[str] = ()) -> bytes:
    parts = repr((*client, list(said), tuple(calls)))
    return hashlib.sha256(parts.encode()).digest()
