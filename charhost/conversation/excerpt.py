"""Excerpt: the part of a conversation that a model is sent."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from charhost.conversation.chat_messages import as_messages
from charhost.conversation.items import (
    Audio,
    FunctionCall,
    FunctionOutput,
    Item,
    Message,
    Part,
    Text,
    parted,
    turns,
)
from charhost.llm.token_estimate import beginning, letters

_MARK = "\n[… {:,} characters left out …]\n"
# Shorter texts are never shortened.
_SHORTEST = 200
# A text is shortened to this part of the room before turns are left out for it.
_SHARE = 1 / 8


@dataclass(frozen=True, slots=True)
class Budget:
    """Letters for the system messages at the front, for the rest, and for both if the model's limit is known."""

    opening: float
    dialogue: float
    both: float = math.inf


@dataclass(frozen=True, slots=True)
class Cut:
    """The number of messages that a model is not sent, and of those that it is sent in part."""

    left_out: int = 0
    shortened: int = 0

    def counts(self) -> dict[str, int]:
        """Return those that are not zero, as details of a usage."""
        counts = {"messages_left_out": self.left_out, "messages_shortened": self.shortened}
        return {name: count for name, count in counts.items() if count}


@dataclass(frozen=True, slots=True)
class Excerpt:
    items: list[Item]
    cut: Cut = Cut()


def excerpt(items: Sequence[Item], budget: Budget) -> Excerpt:
    """Leave out the oldest turns that exceed the budget, and the middle of long texts in the others.

    The last turn stays whole unless it exceeds the model's limit; it takes at most half of the room of those before it.
    """
    opening, dialogue = parted(items)
    sizes = _size(opening), _size(dialogue)
    if sizes[0] <= budget.opening and sizes[1] <= budget.dialogue and sum(sizes) <= budget.both:
        return Excerpt([*opening, *dialogue])
    first = _shortened(opening, min(budget.opening, _room_beside(budget.both, dialogue)))
    room = min(budget.dialogue, budget.both - _size(first))
    *earlier, last = turns(dialogue)
    if math.isfinite(budget.both):
        latest = _shortened(last, _room_beside(room, chain(*earlier)))
        room -= _size(latest)
    else:
        latest = last
        room = max(room - _size(latest), room / 2)
    kept = _latest(earlier, room)
    recent = [*chain(*earlier[kept:])]
    sent = [*first, *_shortened(recent, room), *latest]
    shortened = sum(old is not new for old, new in zip([*opening, *recent, *last], sent, strict=True))
    return Excerpt(sent, Cut(len(as_messages(chain(*earlier[:kept]))), shortened))


def _room_beside(room: float, others: Iterable[Item]) -> float:
    return max(room / 2, room - _size(others)) if math.isfinite(room) else room


def _latest(earlier: Sequence[Sequence[Item]], room: float) -> int:
    """Return the index of the first turn that fits if all long texts are shortened."""
    longest = max(room * _SHARE, _SHORTEST)
    for index in range(len(earlier) - 1, -1, -1):
        room -= _size(_with_texts(item, longest) for item in earlier[index])
        if room < 0:
            return index + 1
    return 0


def _shortened(items: Sequence[Item], room: float) -> list[Item]:
    """Shorten the longest texts, and only as far as needed."""
    lengths = sorted(letters(text) for item in items for text in _texts(item))
    left = room - _size(items) + sum(lengths)
    for index, length in enumerate(lengths):
        share = left / (len(lengths) - index)
        if length > share:
            return [_with_texts(item, max(share, _SHORTEST)) for item in items]
        left -= length
    return list(items)


def _texts(item: Item) -> Iterator[str]:
    if isinstance(item, FunctionOutput):
        yield item.output
    elif isinstance(item, Message):
        yield from (part.text for part in item.parts if isinstance(part, (Text, Audio)))


def _with_texts(item: Item, longest: float) -> Item:
    """Return *item* with no text longer than *longest*."""
    if all(letters(text) <= longest for text in _texts(item)) or isinstance(item, FunctionCall):
        return item
    if isinstance(item, FunctionOutput):
        return replace(item, output=_without_middle(item.output, longest))
    return replace(item, parts=tuple(_part(part, longest) for part in item.parts))


def _part(part: Part, longest: float) -> Part:
    return Text(_without_middle(part.text, longest)) if isinstance(part, (Text, Audio)) else part


def _without_middle(text: str, longest: float) -> str:
    if letters(text) <= longest:
        return text
    half = (int(longest) - letters(_MARK.format(len(text)))) // 2
    first, last = beginning(text, half), beginning(text[::-1], half)[::-1]
    return first + _MARK.format(len(text) - len(first) - len(last)) + last


def _size(items: Iterable[Item]) -> int:
    return sum(item.size for item in items)
