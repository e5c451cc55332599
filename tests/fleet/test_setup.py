"""Setting up a fleet in its engine."""

from __future__ import annotations

from charhost.fleet.engine.memory import MemoryEngine, MemoryStore
from charhost.fleet.options import FleetOptions
from charhost.fleet.setup import begin

OPTIONS = FleetOptions(fleet="charhost", node="setup", key="a key of sixteen")


async def test_fleet_begins_once() -> None:
    """The first call makes the register, and a second one leaves it as it is."""
    store = MemoryStore()
    assert await begin(MemoryEngine(store), OPTIONS)
    (register,) = store.messages("state.desired")
    assert not await begin(MemoryEngine(store), OPTIONS)
    assert store.messages("state.desired") == [register]
