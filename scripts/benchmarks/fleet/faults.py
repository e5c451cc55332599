"""Random faults of nodes, of their lines and of their engine."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp

from scripts.benchmarks.fleet.nodes import Node
from scripts.benchmarks.fleet.witness import Witness

# Seconds: a response waits for the engine longer than the longest of them, and than it takes to come back.
LONGEST = 1.5


class Faults:
    """Does one thing after the other to a fleet, and mends it."""

    def __init__(self, witness: Witness, chance: random.Random) -> None:
        self.made = witness.made
        self._witness = witness
        self._chance = chance
        self.kinds: dict[str, Callable[[Node], Awaitable[None]]] = {
            "node killed": self._kill,
            "node ended": self._end,
            "node paused": self._pause,
            "line cut": self._cut,
            "line stalled": self._stall,
            "line delayed": self._delay,
            "responses lost": self._deafen,
            "engine killed": self._kill_the_engine,
            "engine paused": self._pause_the_engine,
        }

    async def round(self) -> str:
        """Have one fault, wait until all nodes are as good as new, and return what it was."""
        kind, node = self._chance.choice(list(self.kinds)), self._chance.choice(self.made.all)
        touched = self.made.all if kind.startswith("engine") else [node]
        self._witness.counts[kind] += 1
        self._witness.disturbed |= set(touched)
        await asyncio.sleep(self._chance.uniform(0, 1))
        await self.kinds[kind](node)
        for one in touched:
            await self._until_well(one)
        await self.made.equal()
        self._witness.disturbed -= set(touched)
        return kind if kind.startswith("engine") else f"{kind}: {node.name}"

    async def _kill(self, node: Node) -> None:
        await node.stop(signal.SIGKILL)
        await self._while()
        await node.start()

    async def _end(self, node: Node) -> None:
        await node.stop()
        await self._while()
        await node.start()

    async def _pause(self, node: Node) -> None:
        async with node.paused():
            await self._while()

    async def _cut(self, node: Node) -> None:
        node.line.cut()
        await self._while()
        node.line.cut()

    async def _stall(self, node: Node) -> None:
        node.line.stall()
        await self._while()
        node.line.go_on()

    async def _delay(self, node: Node) -> None:
        node.line.delay = self._chance.uniform(0.01, 0.1)
        await self._while()
        node.line.delay = 0.0

    async def _deafen(self, node: Node) -> None:
        node.line.is_deaf = True
        await self._while()
        node.line.is_deaf = False
        # What has lost bytes is no connection any more.
        node.line.cut()

    async def _kill_the_engine(self, _: Node) -> None:
        self.made.engines[0].kill()
        await self._while()
        self.made.engines[0].start()

    async def _pause_the_engine(self, _: Node) -> None:
        self.made.engines[0].pause()
        await self._while()
        self.made.engines[0].go_on()

    async def _while(self) -> None:
        await asyncio.sleep(self._chance.uniform(0, LONGEST))

    async def _until_well(self, node: Node) -> None:
        """Wait until a node has read the register again."""
        async with asyncio.timeout(120):
            while True:
                with suppress(aiohttp.ClientError):
                    if (await node.get("/v1/fleet"))["reachable"]:
                        break
                await asyncio.sleep(0.05)
