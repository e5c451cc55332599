"""What a fleet has acknowledged, and whether it keeps it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from charhost.jsontext import Json
from scripts.benchmarks.fleet.nodes import Node, Nodes

Served = tuple[int, str]

# Seconds after which even a loaded machine has brought a set to all nodes that nothing disturbs.
_LONGEST_SKEW = 15.0


class Broken(Exception):
    """The fleet lost what it had acknowledged, or served what it should not."""


@dataclass
class Witness:
    """Notes and checks; `counts` has the number of each, `skew` the longest time that undisturbed nodes differed."""

    made: Nodes
    counts: Counter[str] = field(default_factory=Counter)
    skew: float = 0.0
    disturbed: set[Node] = field(default_factory=set)
    _revisions: dict[int, str] = field(default_factory=dict)
    _highest: dict[Node, int] = field(default_factory=dict)
    _differ_since: float | None = None

    async def look(self, node: Node) -> Served | None:
        """Return what a node serves, None if it does not respond.

        No generation is of two sets, and none is followed by a lower one.
        """
        highest = self._highest.get(node, 0)
        found = await node.looked()
        if found is not None:
            generation, revision = found
            self._note(generation, revision, node.name)
            if generation < highest:
                raise Broken(f"{node.name} went from generation {highest} to {generation}")
            self._highest[node] = max(generation, self._highest.get(node, 0))
            self.counts["looks"] += 1
        return found

    def compare(self, served: Mapping[Node, Served]) -> None:
        """Compare what nodes serve at a time."""
        differ = len({one for node, one in served.items() if node not in self.disturbed}) > 1
        if not differ:
            self._differ_since = None
            return
        self._differ_since = self._differ_since or time.monotonic()
        self.skew = max(self.skew, time.monotonic() - self._differ_since)
        if self.skew > _LONGEST_SKEW:
            raise Broken(f"nodes that nothing disturbed served different sets for {self.skew:.0f} s: {served}")

    async def reloaded(self, report: Json) -> None:
        """Check a reload that was acknowledged: the nodes that are reported to serve it do."""
        self.counts["reloads"] += 1
        generation, revision = report["generation"], report["revision"]
        self._note(generation, revision, "the report")
        for one in report["fleet"]["nodes"]:
            node = self.made.named[one["node"]]
            found = await self.look(node) if one["state"] == "serving" else None
            if found is not None and found[0] < generation:
                raise Broken(f"{node.name} serves {found[0]}, and was reported to serve {generation}: {report}")

    def check_rollouts(self, rollouts: Collection[Json], committed: Json) -> None:
        """Check that the reloads that are kept are those that were acknowledged."""
        newest = max(self._revisions)
        if committed["epoch"] < newest:
            raise Broken(f"generation {newest} was acknowledged, and the register has {committed['epoch']}")
        for change in [*rollouts, committed]:
            self._note(change["epoch"], change["revision"], "the engine")
            self.counts["epochs found"] += 1

    def _note(self, generation: int, revision: str, where: str) -> None:
        if self._revisions.setdefault(generation, revision) != revision:
            raise Broken(f"generation {generation} is {self._revisions[generation]}, and {revision} at {where}")
