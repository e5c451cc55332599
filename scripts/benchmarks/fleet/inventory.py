"""What the nodes of a fleet hold, and what they hold in their engine."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

from scripts.benchmarks.fleet.nodes import Node, Nodes
from scripts.benchmarks.fleet.witness import Broken

_PATIENCE = 60.0

Held = dict[str, Counter[str]]


@dataclass
class Inventory:
    """Counts tasks and descriptors of nodes, and connections, subscriptions and consumers of the engine."""

    made: Nodes
    monitor: int

    async def settled(self, before: Held | None = None) -> Held:
        """Return the counts once they are at most those *before*, or have not changed for a while; raises `Broken`."""
        held = await self._count()
        try:
            async with asyncio.timeout(_PATIENCE):
                while True:
                    await asyncio.sleep(2)
                    last, held = held, await self._count()
                    if held == last if before is None else not _more(held, before):
                        return held
        except TimeoutError:
            if before is None:
                return held
            raise Broken(f"there is more than at the start: {_more(held, before)}") from None

    async def _count(self) -> Held:
        held = {node.name: await _held(node) for node in self.made.all}
        connections, jetstream = await self._asked("connz?subs=1"), await self._asked("jsz")
        found = Counter(connections=connections["num_connections"], consumers=jetstream["consumers"])
        found["subscriptions"] = sum(one["subscriptions"] for one in connections["connections"])
        return held | {"engine": found}

    async def _asked(self, page: str) -> Any:
        async with self.made.http.get(f"http://127.0.0.1:{self.monitor}/{page}") as response:
            return await response.json()


async def _held(node: Node) -> Counter[str]:
    assert node.process is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", node.probe)
    tasks = Counter(json.loads(await reader.read()))
    writer.close()
    return tasks + Counter(descriptors=len(os.listdir(f"/proc/{node.process.pid}/fd")))


def _more(held: Held, before: Held) -> dict[str, Counter[str]]:
    return {name: more for name, counts in held.items() if (more := counts - before[name])}
