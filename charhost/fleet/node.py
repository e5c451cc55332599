"""One node of a fleet, and the others as they describe themselves."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from charhost.fleet.engine.engine import Engine, Unavailable
from charhost.fleet.hints import Hints
from charhost.fleet.record import NODE_STATES, NodeStatus, node_subject
from charhost.fleet.records import Records
from charhost.metrics import FleetMetrics

log = logging.getLogger("charhost.fleet")

# Seconds after which a node that is silent does not count any more, and between two statuses.
STATUS_TTL = 10
STATUS_INTERVAL = 3.0
# Seconds after the deadline of a proposal: until a node drops its build, and until any node aborts it.
DOUBT = 5.0


@dataclass(eq=False)
class Node:
    """What all sets of this node share: its name, `instance` (the process), and its ways to the others."""

    name: str
    instance: str
    records: Records
    metrics: FleetMetrics
    deadline: float
    reconcile: float
    engine: Engine
    describe: Callable[[], NodeStatus]
    doubt: float = DOUBT
    interval: float = STATUS_INTERVAL
    clock: Callable[[], float] = time.monotonic
    registers: Hints = field(default_factory=Hints)
    votes: Hints = field(default_factory=Hints)
    statuses: Hints = field(default_factory=Hints)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    untidy: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pause(self) -> float:
        """The seconds until the next look at the register, drawn so that nodes do not look together."""
        return self.reconcile * random.uniform(0.8, 1.2)

    async def announce(self) -> None:
        """Publish the status on every change, and every few seconds, until cancelled."""
        while True:
            is_news = self.changed.is_set()
            self.changed.clear()
            try:
                await self.records.put(node_subject(self.name), self.describe(), STATUS_TTL)
                if is_news:
                    await self.wake("node")
            except Unavailable as e:
                log.debug("the status of this node was not written: %s", e)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.interval):
                    await self.changed.wait()

    async def seen(self) -> dict[str, tuple[NodeStatus, float]]:
        """Return the last status of each node that is alive, and how many seconds older it is than the newest."""
        names = await self.records.names("state.node")
        found = await asyncio.gather(*(self.records.read(node_subject(name), NodeStatus) for name in names))
        newest = max((one.stored for one in found), default=0.0)
        return {one.record.node: (one.record, newest - one.stored) for one in found if one.record is not None}

    async def alive(self) -> dict[str, NodeStatus]:
        """Return the status of each node that is alive, this one included."""
        statuses = {name: status for name, (status, _) in (await self.seen()).items()}
        statuses[self.name] = self.describe()
        states = Counter(status.state for status in statuses.values())
        for state in NODE_STATES:
            self.metrics.nodes.labels(state).set(states[state])
        return statuses

    async def living(self, names: Iterable[str]) -> set[str]:
        """Return those of *names* whose nodes are alive; a status that the fleet did not sign proves nothing."""
        asked = list(names)
        found = await asyncio.gather(*(self.records.read(node_subject(name), NodeStatus) for name in asked))
        return {name for name, one in zip(asked, found, strict=True) if one.is_signed}

    async def wake(self, topic: str) -> None:
        """Send a hint to all nodes, which may be lost."""
        await self.engine.hint(topic)

    async def leave(self) -> None:
        """End the status, so that no rollout waits for this node."""
        await self.records.drop(node_subject(self.name))
