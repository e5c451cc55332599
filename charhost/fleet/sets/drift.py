"""A set that one node of a fleet serves alone."""

from dataclasses import dataclass

from charhost.fleet.sets.shared_set import SharedSet
from charhost.reload.attempt import Attempt
from charhost.reload.swap import Swap


@dataclass(frozen=True)
class Drift:
    """Lets a set serve at this node without the others, until this node follows the fleet again."""

    shared: SharedSet

    async def ask(self, attempt: Attempt, swap: Swap) -> int:
        return swap.after.generation

    async def confirm(self, attempt: Attempt) -> None:
        self.shared.drifts()
