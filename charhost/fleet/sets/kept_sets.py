"""The sets of one name that a node keeps beside the one that serves."""

import math
from collections import OrderedDict
from collections.abc import Iterator

from charhost.fleet.sets.manifest import PackedSet
from charhost.loading.source_file import SourceFile
from charhost.memory.budget import MemoryBudget

_MOST = 4
# Bytes of a file beside its source, and of the code that is compiled of a byte of that.
_FLOOR, _COMPILED = 2_000, 2


class KeptSets:
    """The last sets by their roots, which are kept as long as the budget of memory has room; has to be closed."""

    kind = "fleet_sets"

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._memory = budget.holding(self.kind)
        self._most = _MOST
        self._sets: OrderedDict[str, tuple[int, PackedSet]] = OrderedDict()
        budget.add_reserve(self)

    def __iter__(self) -> Iterator[PackedSet]:
        return iter([packed for _, packed in self._sets.values()])

    def find(self, root: str) -> PackedSet | None:
        """Return a set that is kept, or that is the base of one."""
        _, packed = self._sets.get(root, (0, None))
        return packed or next((one.whole for one in self if one.whole.root == root), None)

    def keep(self, packed: PackedSet) -> None:
        """Keep a set as the last one."""
        self._drop(packed.root)
        size = _size(packed)
        self._sets[packed.root] = size, packed
        self._memory.resize(self._memory.size + size)
        while len(self._sets) > self._most:
            self.give_up()

    @property
    def oldest(self) -> float | None:
        """Earlier than anything else is kept: a set can be fetched again."""
        return -math.inf if self._sets else None

    def give_up(self) -> None:
        """Drop the first set."""
        self._drop(next(iter(self._sets)))

    def clear(self) -> None:
        self._sets.clear()
        self._memory.resize(0)

    def close(self) -> None:
        """Keep no set any more."""
        self._most = 0
        self.clear()
        self._budget.drop_reserve(self)

    def _drop(self, root: str) -> None:
        size, _ = self._sets.pop(root, (0, None))
        self._memory.resize(self._memory.size - size)


def _size(packed: PackedSet) -> int:
    """Return the bytes of the files of a set, which it may share with others."""
    files = set[SourceFile]().union(*(snapshot.files.values() for snapshot in packed.snapshots))
    return sum(_FLOOR + len(file.data) * (1 + _COMPILED) for file in files)
