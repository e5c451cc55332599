"""FleetOptions: the place of a node in its fleet, from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from charhost.fleet.engine.connect import engine_of
from charhost.fleet.engine.engine import Engine
from charhost.settings import Settings


@dataclass(frozen=True)
class FleetOptions:
    """The names and the key of a node; `deadline` and `reconcile` are in seconds."""

    fleet: str
    node: str
    key: str
    url: str = ""
    deadline: float = 10.0
    reconcile: float = 5.0

    @classmethod
    def of(cls, settings: Settings) -> FleetOptions:
        assert settings.fleet_key is not None
        scheme = "http" if settings.tls_cert is None else "https"
        return cls(
            fleet=settings.fleet_name,
            node=settings.node_name(settings.port),
            key=settings.fleet_key.get_secret_value(),
            url=f"{scheme}://{settings.host}:{settings.port}",
            deadline=settings.fleet_deadline,
            reconcile=settings.fleet_reconcile,
        )


def engine_for(settings: Settings) -> Engine:
    """Return the engine of the settings, which is not connected yet; raises `SettingsError`."""
    return engine_of(
        settings.fleet_servers,
        settings.fleet_name,
        settings.resume_ttl,
        settings.fleet_credentials,
        settings.fleet_ca,
    )
