"""An application as a node of a fleet, from the connection to the end."""

from collections.abc import AsyncIterator

from aiohttp import web

from charhost.fleet.fleet import Fleet
from charhost.fleet.options import FleetOptions
from charhost.loading.snapshot import Limits
from charhost.metrics import FleetMetrics
from charhost.web.fleet.membership import Membership
from charhost.web.keys import BUDGET, FLEET, FLEET_ENGINE, METRICS, SESSIONS, SETS, SETTINGS


def join(app: web.Application) -> None:
    """Make the application a node of the fleet in its settings."""
    app[FLEET] = Membership(app[SETTINGS])
    app.cleanup_ctx.append(_run)
    app.on_shutdown.append(_leave)


async def _run(app: web.Application) -> AsyncIterator[None]:
    """Be a node while the application runs; raises `SettingsError`."""
    settings, sessions = app[SETTINGS], app[SESSIONS]
    options, metrics = FleetOptions.of(settings), FleetMetrics(app[METRICS].registry)
    fleet = Fleet(app[FLEET_ENGINE], options, metrics, Limits.of(settings), lambda: len(sessions), app[BUDGET])
    app[FLEET].fleet = app[SETS].fleet = fleet
    fleet.owner = app[SETS]
    try:
        await fleet.start()
        yield
    finally:
        await fleet.close()


async def _leave(app: web.Application) -> None:
    """Have the others know that this node ends, while its sessions are closed."""
    fleet = app[FLEET].fleet
    if fleet is not None:
        fleet.leave()
