"""The same programs against a fleet behind a load balancer, which sends each connection to the next node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.balanced import BalancedFleet, needs_haproxy
from tests.e2e.programs.conversations import Conversations, program, running

__all__ = ["program", "running"]

pytestmark = [pytest.mark.slow, needs_haproxy]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BalancedFleet]:
    """A fleet of three for all programs."""
    fleet = BalancedFleet(tmp_path_factory.mktemp("fleet"), "tcp")
    yield fleet
    assert fleet.end() == 0, fleet.log


class TestProgramsInFleet(Conversations):
    """Each program against any of three nodes."""
