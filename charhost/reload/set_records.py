"""SetRecords: the history of each set."""

from collections import defaultdict
from typing import Protocol

from charhost.reload.store import MemoryStore, Store


class SetRecords(Protocol):
    """Keeps the histories of all sets."""

    def history(self, name: str) -> Store:
        """Return the history of the set called *name*."""


class MemoryRecords:
    """Keeps what it has as long as the application lives."""

    def __init__(self) -> None:
        self._histories: defaultdict[str, MemoryStore] = defaultdict(MemoryStore)

    def history(self, name: str) -> Store:
        return self._histories[name]
