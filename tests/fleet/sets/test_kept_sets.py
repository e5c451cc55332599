"""The sets that a node of a fleet keeps, within the budget of memory."""

from __future__ import annotations

import time
from pathlib import Path

from charhost.fleet.sets.kept_sets import KeptSets
from charhost.fleet.sets.manifest import PackedSet
from charhost.loading.module_space import Member
from charhost.loading.snapshot import Snapshot
from charhost.loading.source_file import SourceFile
from charhost.loading.stored_set import StoredSet
from charhost.memory.budget import MemoryBudget

SIZE = 100_000


def packed(name: str, base: PackedSet | None = None) -> PackedSet:
    """Return a set of one large file, and of the files of its base."""
    file = SourceFile.of(f"{name}.py", f"/srv/{name}.py", b"#" * SIZE)
    snapshot = Snapshot(Path("/srv"), {file.path: file}, taken=time.time_ns())
    stored = StoredSet(0, "/srv", name, (Member(snapshot, file.path, name),))
    snapshots = (*(base.snapshots if base is not None else ()), snapshot)
    return PackedSet(name, stored, snapshots, {}, base)


def kept(sets: KeptSets) -> list[str]:
    return [one.root for one in sets]


def test_last_sets_are_kept_and_counted() -> None:
    """Four of them are, each by its bytes, which are free again at the end."""
    budget = MemoryBudget()
    sets = KeptSets(budget)
    for name in "abcdbe":
        sets.keep(packed(name))
    assert kept(sets) == ["c", "d", "b", "e"]
    assert 4 * SIZE < budget.held["fleet_sets"] < 20 * SIZE
    sets.close()
    assert budget.in_use == 0
    sets.keep(packed("f"))
    assert (kept(sets), budget.in_use) == ([], 0)


def test_a_set_makes_room_for_everything_else() -> None:
    """It can be fetched again, so it goes before everything that clients would miss, and is not even kept without room."""
    budget = MemoryBudget(SIZE * 10)
    sets, requests = KeptSets(budget), budget.holding("requests")
    for name in "abc":
        sets.keep(packed(name))
    assert kept(sets) == ["a", "b", "c"]
    assert requests.take(SIZE * 5)
    assert kept(sets) == ["c"]
    assert requests.take(SIZE * 5)
    sets.keep(packed("d"))
    assert (kept(sets), budget.in_use) == ([], SIZE * 10)


def test_a_set_is_found_by_its_root() -> None:
    """A root that is not kept has no set."""
    sets = KeptSets(MemoryBudget())
    sets.keep(one := packed("a"))
    assert (sets.find("a"), sets.find("b")) == (one, None)


def test_the_base_of_a_set_is_found() -> None:
    """A set that is a difference from another one holds that one, too."""
    sets = KeptSets(MemoryBudget())
    sets.keep(packed("b", base := packed("a")))
    assert (kept(sets), sets.find("a")) == (["b"], base)
    sets.clear()
    assert sets.find("a") is None
