"""Several nodes of a fleet in one process, over an engine in memory, each with a manager and a directory of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charhost.fleet.engine.memory import MemoryEngine, MemoryStore, Step
from charhost.fleet.fleet import Fleet
from charhost.fleet.options import FleetOptions
from charhost.fleet.record import Register
from charhost.fleet.sets.shared_set import SharedSet
from charhost.fleet.setup import begin
from charhost.loading.snapshot import Limits
from charhost.metrics import FleetMetrics, Metrics
from charhost.reload.manager import CharacterManager
from charhost.reload.request import ReloadRequest
from charhost.reload.swap import NoSessions, Swap
from charhost.report import DEFAULT_SET, ReloadReport
from charhost.settings import Settings
from tests.conftest import character

PATIENCE = 180.0
# How much faster than the clock of the machine statuses and votes end in the engine.
HASTE = 10.0
KEY = "the key of a fleet in a test"


@dataclass(eq=False)
class Member:
    """One node: its directory, its engine, and its manager."""

    name: str
    directory: Path
    engine: MemoryEngine
    fleet: Fleet
    manager: CharacterManager
    is_up: bool = True

    @property
    def shared(self) -> SharedSet:
        return self.fleet.sets[DEFAULT_SET]

    @property
    def epoch(self) -> int:
        return self.shared.epoch

    async def reload(self, **fields: Any) -> ReloadReport:
        return await self.manager.reload_characters(ReloadRequest(scope="changed", **fields))

    def write(self, file: str, text: str) -> None:
        (self.directory / file).write_text(text)

    async def kill(self) -> None:
        """End the node as `kill -9` does: nothing that it was about to do is done, and its status stays for a while."""
        self.is_up = False
        self.engine.cut()
        self.engine.go_on()
        await self.close()

    async def close(self) -> None:
        await self.manager.close(0)
        await self.fleet.close()
        await self.engine.close()


class RecordingStore(MemoryStore):
    """A store that notes the revision of each epoch that was committed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.committed: dict[int, set[str]] = {}

    def append(self, subject: str, data: bytes, last: int, ttl: int | None) -> int:
        sequence = super().append(subject, data, last, ttl)
        if subject == "state.desired":
            change = Register.model_validate_json(data.partition(b"\n")[2]).committed
            if change is not None:
                self.committed.setdefault(change.epoch, set()).add(change.revision)
        return sequence


class _Swaps(NoSessions):
    """Notes each set in the moment in which it begins to serve."""

    def __init__(self, note: Callable[[Swap], None]) -> None:
        self._note = note

    def follow(self, swap: Swap) -> None:
        self._note(swap)


class Cluster:
    """The nodes of a fleet, and the store that they share."""

    def __init__(self, home: Path, **options: Any) -> None:
        self.home = home
        self.options = options
        self.store = RecordingStore(lambda: time.monotonic() * HASTE)
        self.members: dict[str, Member] = {}
        self.early: list[tuple[str, int]] = []  # sets that served before they were committed

    async def set_up(self) -> None:
        engine = MemoryEngine(self.store)
        await begin(engine, self._options("setup"))
        await engine.close()

    async def start(self, name: str, *, step: Step | None = None, join: bool = True) -> Member:
        """Start a node on a directory of its own; *step* is awaited before and after each of its requests."""
        directory = self.home / name
        if not directory.exists():
            directory.mkdir()
            (directory / "ada.py").write_text(character("Ada", f"Of {name}."))
        engine, metrics = MemoryEngine(self.store, step), Metrics()
        settings = Settings(directory=directory)
        fleet = Fleet(engine, self._options(name), FleetMetrics(metrics.registry), Limits.of(settings))
        fleet.node.doubt, fleet.node.interval = self.options.get("doubt", 1.0), 3.0 / HASTE
        manager = CharacterManager(settings, metrics, _Swaps(lambda swap: self._note(name, swap)))
        member = self.members[name] = Member(name, directory, engine, fleet, manager)
        fleet.add(manager)
        await fleet.start()
        if join:
            await fleet.join(DEFAULT_SET, PATIENCE)
        return member

    async def close(self) -> None:
        for member in self.members.values():
            if member.is_up:
                await member.close()

    async def equal(self) -> None:
        """Wait until all nodes that are up serve what was committed, and nothing is proposed."""
        await eventually(lambda: self.is_equal)

    @property
    def up(self) -> list[Member]:
        return [member for member in self.members.values() if member.is_up]

    @property
    def is_equal(self) -> bool:
        registers = [member.shared.register for member in self.up]
        first = registers[0]
        return (
            first is not None
            and first.proposed is None
            and all(register == first for register in registers)
            and first.committed is not None
            and {member.epoch for member in self.up} == {first.committed.epoch}
            and {member.manager.current.revision for member in self.up} == {first.committed.revision}
        )

    def _note(self, name: str, swap: Swap) -> None:
        if swap.after.generation not in self.store.committed:
            self.early.append((name, swap.after.generation))

    def _options(self, name: str) -> FleetOptions:
        deadline, reconcile = self.options.get("deadline", 10.0), self.options.get("reconcile", 0.2)
        return FleetOptions("charhost", name, KEY, deadline=deadline, reconcile=reconcile)


async def eventually(fact: Callable[[], object]) -> None:
    """Wait until a condition holds that nothing announces."""
    async with asyncio.timeout(PATIENCE):
        while not fact():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def cluster(home: Path, *names: str, **options: Any) -> AsyncIterator[Cluster]:
    """Run a fleet of nodes of these names, which was set up."""
    made = Cluster(home, **options)
    await made.set_up()
    try:
        for name in names:
            await made.start(name)
        yield made
    finally:
        await made.close()


def register_of(member: Member) -> Register:
    """Return the register as the node last read it."""
    assert member.shared.register is not None
    return member.shared.register
