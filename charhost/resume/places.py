"""The places of the items of a saved conversation, so that a turn writes only its own items."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import is_

from charhost.conversation.items import Item

Places = dict[int, Item]


@dataclass(frozen=True, slots=True)
class Edit:
    """The difference between the items that are written and those of now.

    Items are immutable, so an object that was written is not written again. Those that are written and in order keep
    their places, all others follow the last.
    """

    gone: tuple[int, ...]
    new: Places
    after: Places

    @classmethod
    def of(cls, written: Places, items: Sequence[Item]) -> "Edit":
        kept = _kept(written, items)
        gone = () if kept is written else tuple(place for place in written if place not in kept)
        new = dict(enumerate(items[len(kept) :], start=next(reversed(written), -1) + 1))
        return cls(gone, new, kept | new)

    @property
    def is_empty(self) -> bool:
        return not (self.gone or self.new)


def _kept(written: Places, items: Sequence[Item]) -> Places:
    """Return the written items that *items* begin with, in the same order."""
    if len(written) <= len(items) and all(map(is_, written.values(), items)):  # only the end is new, the usual case
        return written
    kept: Places = {}
    for place, item in written.items():
        if len(kept) < len(items) and items[len(kept)] is item:
            kept[place] = item
    return kept
