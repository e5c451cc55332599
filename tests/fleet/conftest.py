"""The stores of a fleet: one in memory, and a real nats-server for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from charhost.fleet.engine.memory import MemoryStore
from scripts.benchmarks.fleet.nats_server import NatsServer, cluster
from tests.fleet.nats_server import users


@pytest.fixture
def store() -> MemoryStore:
    """The store of a fleet that is set up."""
    store = MemoryStore()
    store.is_set_up = True
    return store


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One server with JetStream; each test has a fleet of its own on it."""
    server = NatsServer(tmp_path_factory.mktemp("nats"), users())
    yield server
    server.kill()


@pytest.fixture(scope="session")
def nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[NatsServer]]:
    """Three servers that replicate to each other; each test has a fleet of its own on them."""
    servers = cluster(tmp_path_factory.mktemp("cluster"), users())
    yield servers
    for server in servers:
        server.kill()
