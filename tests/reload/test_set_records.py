"""The records of the sets of a server without a state file."""

from __future__ import annotations

import pytest

from charhost.reload.set_records import MemoryRecords, SetDefinition
from tests.reload.helpers import report

pytestmark = pytest.mark.of_default_set


async def test_each_set_has_a_history_of_its_own() -> None:
    """What is recorded of a set is found under its name only."""
    records = MemoryRecords()
    await records.history("gaming").record(report(1), None)
    assert await records.history("gaming").attempts(9) == (report(1),)
    assert await records.history("default").attempts(9) == ()


async def test_removed_set_leaves_no_history() -> None:
    """A later set of the same name begins anew; one that never was can be removed."""
    records = MemoryRecords()
    await records.history("gaming").record(report(1), None)
    await records.remove("gaming")
    await records.remove("other")
    assert await records.history("gaming").attempts(9) == ()


async def test_added_sets_are_not_kept() -> None:
    """Without a file a set that was added does not come back."""
    records = MemoryRecords()
    await records.add(SetDefinition("gaming", "/srv/games", watch=True))
    assert await records.added() == ()
