"""Engines that are connected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from charhost.fleet.engine.connect import engine_of
from charhost.fleet.engine.engine import Engine


async def connect(
    servers: Sequence[str], fleet: str, credentials: Path | None = None, ca: Path | None = None
) -> Engine:
    """Return an engine after its first attempt to connect; it goes on trying."""
    engine = engine_of(servers, fleet, credentials=credentials, ca=ca)
    await engine.start()
    return engine
