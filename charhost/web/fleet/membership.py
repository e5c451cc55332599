"""Membership: the place of a server in its fleet."""

from typing import Literal

from charhost.errors import FleetUnreachable, SetNotFound, UploadNotFound, UploadsNotAllowed
from charhost.fleet.engine.engine import Unavailable
from charhost.fleet.fleet import Fleet
from charhost.fleet.sets.drift import Drift
from charhost.fleet.sets.pack import DamagedSet
from charhost.fleet.sets.shared_set import SharedSet
from charhost.loading.stored_set import StoredSet
from charhost.reload.attempt import Consent
from charhost.reload.request import FleetReloadRequest
from charhost.report import DEFAULT_SET
from charhost.settings import Settings

# Seconds without the engine after which a node drains, if it is to.
_CUT_OFF = 15.0


class Membership:
    """Holds the fleet of an application, which is there while that runs."""

    def __init__(self, settings: Settings) -> None:
        self.fleet: Fleet | None = None
        self._drains = settings.fleet_cut_off == "drain"
        self._takes_uploads = settings.fleet_upload

    @property
    def why_not_ready(self) -> str | None:
        """Why a load balancer is not to send clients here; None if it may."""
        fleet = self.fleet
        if fleet is None or not all(shared.epoch or shared.is_drifted for shared in fleet.sets.values()):
            return "starting"
        if fleet.is_leaving:
            return "leaving"
        if self._drains and fleet.cut_off_for > _CUT_OFF:
            return "cut_off"
        return "behind" if any(shared.error for shared in fleet.sets.values()) else None

    @property
    def state(self) -> Literal["up", "down"]:
        """Whether the engine could be used the last time."""
        return "down" if self.fleet is None or self.fleet.trouble is not None else "up"

    def shared(self, name: str | None) -> SharedSet:
        """Return the set called *name*, None: the default one; raises `SetNotFound`."""
        shared = self._find(name)
        if shared is None:
            raise SetNotFound(name or DEFAULT_SET)
        return shared

    def admit_upload(self) -> None:
        """Raise `UploadsNotAllowed` unless the server was started with `--fleet-upload`."""
        if not self._takes_uploads:
            raise UploadsNotAllowed("This server takes no uploads: it was started without --fleet-upload.")

    async def uploaded(self, request: FleetReloadRequest) -> StoredSet | None:
        """Return the uploaded set that a reload names, if it does.

        Raises `UploadsNotAllowed`, `UploadNotFound` and `FleetUnreachable`.
        """
        if request.uploaded is None:
            return None
        self.admit_upload()
        try:
            shared = self.shared(request.set)
            return await shared.fetch(request.uploaded, shared.epoch)
        except DamagedSet as e:
            raise UploadNotFound(f"There is no uploaded set of that digest; upload it again ({e}).") from e
        except Unavailable as e:
            raise FleetUnreachable(e) from e

    def consent(self, request: FleetReloadRequest) -> Consent | None:
        """Return the consent that a reload of this node alone needs, if it is one."""
        return Drift(self.shared(request.set)) if request.nodes == "this" else None

    async def stored(self, name: str | None, generation: int | None) -> StoredSet | None:
        """Return the set of a generation from the engine; None if it is not there now."""
        shared = self._find(name)
        try:
            return await shared.stored(generation) if shared is not None else None
        except (Unavailable, DamagedSet):
            return None

    def _find(self, name: str | None) -> SharedSet | None:
        return self.fleet.sets.get(name or DEFAULT_SET) if self.fleet is not None else None
