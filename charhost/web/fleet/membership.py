"""Membership: the place of a server in its fleet."""

from charhost.fleet.engine import Unavailable
from charhost.fleet.fleet import Fleet
from charhost.fleet.pack import DamagedSet
from charhost.loading.stored_set import StoredSet
from charhost.report import DEFAULT_SET

# Seconds without the engine after which a node drains, if it is to.
_CUT_OFF = 15.0


class Membership:
    """Holds the fleet of an application, which is there while that runs; *drains* with `--fleet-cut-off drain`."""

    def __init__(self, *, drains: bool) -> None:
        self.fleet: Fleet | None = None
        self._drains = drains

    @property
    def why_not_ready(self) -> str | None:
        """Why a load balancer is not to send clients here; None if it may."""
        fleet = self.fleet
        if fleet is None or not all(shared.epoch for shared in fleet.sets.values()):
            return "starting"
        if fleet.is_leaving:
            return "leaving"
        if self._drains and fleet.cut_off_for > _CUT_OFF:
            return "cut_off"
        return "behind" if any(shared.error for shared in fleet.sets.values()) else None

    async def stored(self, name: str | None, generation: int | None) -> StoredSet | None:
        """Return the set of a generation from the engine; None if it is not there now."""
        shared = self.fleet.sets.get(name or DEFAULT_SET) if self.fleet is not None else None
        try:
            return await shared.stored(generation) if shared is not None else None
        except (Unavailable, DamagedSet):
            return None
