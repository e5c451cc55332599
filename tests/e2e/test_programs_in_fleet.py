"""The same programs against a fleet behind a load balancer, which sends each connection to the next node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.balanced import BalancedFleet, needs_haproxy
from tests.e2e.test_programs import (
    program,
    running,
    test_character_of_another_set,
    test_lists_the_characters,
    test_output_of_a_type,
    test_reload_in_the_middle,
    test_streams,
    test_talks,
    test_tool_of_the_character,
    test_tool_of_the_client,
    test_unknown_character,
)

__all__ = [
    "program",
    "running",
    "test_character_of_another_set",
    "test_lists_the_characters",
    "test_output_of_a_type",
    "test_reload_in_the_middle",
    "test_streams",
    "test_talks",
    "test_tool_of_the_character",
    "test_tool_of_the_client",
    "test_unknown_character",
]

pytestmark = [pytest.mark.slow, needs_haproxy]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BalancedFleet]:
    """A fleet of three for all programs."""
    fleet = BalancedFleet(tmp_path_factory.mktemp("fleet"), "tcp")
    yield fleet
    assert fleet.end() == 0, fleet.log
