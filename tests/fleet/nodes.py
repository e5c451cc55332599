"""Nodes of a fleet: applications in one process, on one engine in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.options import FleetOptions
from charhost.fleet.setup import begin
from charhost.settings import Settings
from charhost.web.app import create_app
from tests.conftest import Client
from tests.fleet.talks.helpers import KEY

AioClient = Callable[..., Awaitable[Client]]


@dataclass
class Node:
    client: Client
    engine: MemoryEngine


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def options() -> dict[str, Any]:
    """More settings of all nodes."""
    return {}


@pytest.fixture
async def nodes(
    directory: Path, store: MemoryStore, options: dict[str, Any], aiohttp_client: AioClient
) -> AsyncIterator[list[Node]]:
    """Two nodes of one fleet."""
    await begin(MemoryEngine(store), FleetOptions(fleet="charhost", node="setup", key=KEY))
    found = []
    for name in ("n1", "n2"):
        key = SecretStr(KEY)
        settings = Settings(directory=directory, fleet="nats://127.0.0.1:1", fleet_key=key, fleet_node=name, **options)
        engine = MemoryEngine(store)
        found.append(Node(await aiohttp_client(create_app(settings, fleet=engine)), engine))
    yield found
    for node in found:
        node.engine.step, node.engine.is_connected = None, True
        node.engine.go_on()
