"""The routes of a fleet; their handlers are imported by the first request."""

from aiohttp import web

from charhost.web.http.later import later
from charhost.web.keys import SETTINGS

ROUTES = (
    web.get("/v1/fleet", later("fleet.handler", "fleet")),
    web.put("/v1/fleet/sets", later("fleet.upload", "upload")),
    web.get("/v1/fleet/rollouts/{epoch}", later("fleet.handler", "rollout")),
    web.post("/v1/fleet/abort", later("fleet.handler", "abort")),
    web.post("/v1/fleet/hold", later("fleet.handler", "hold")),
    web.post("/v1/fleet/restore", later("fleet.handler", "restore")),
)


def join_fleet(app: web.Application) -> None:
    """Make the application a node if its settings have a fleet; without one nothing of that is imported."""
    if app[SETTINGS].fleet is not None:
        from charhost.web.fleet.node import join

        join(app)
