"""SetRecords: the history of each set, and the sets that were added to the running server."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

from charhost.reload.store import MemoryStore, Store


@dataclass(frozen=True)
class SetDefinition:
    """A set that was added to the running server, and comes back when it is started again."""

    name: str
    directory: str
    watch: bool


class SetRecords(Protocol):
    """Keeps the histories of all sets, and the sets that were added; errors are `StateError`."""

    def history(self, name: str) -> Store:
        """Return the history of the set called *name*."""

    async def added(self) -> tuple[SetDefinition, ...]: ...

    async def add(self, definition: SetDefinition) -> None:
        """Keep a set, in place of one of the same name."""

    async def remove(self, name: str) -> None:
        """Drop a set and its history."""


class MemoryRecords:
    """Keeps histories as long as the application lives."""

    def __init__(self) -> None:
        self._histories: defaultdict[str, MemoryStore] = defaultdict(MemoryStore)

    def history(self, name: str) -> Store:
        return self._histories[name]

    async def added(self) -> tuple[SetDefinition, ...]:
        return ()

    async def add(self, definition: SetDefinition) -> None: ...

    async def remove(self, name: str) -> None:
        self._histories.pop(name, None)
