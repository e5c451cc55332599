"""A set that one node serves alone, as in an emergency."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from charhost.errors import ReloadCode, ReloadRejected
from charhost.fleet.engine.engine import Unavailable
from charhost.fleet.sets.drift import Drift
from charhost.reload.request import ReloadRequest
from charhost.report import ReloadReport
from tests.conftest import character, prompt
from tests.fleet.cluster import Cluster, Member, cluster, eventually


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path, "n1", "n2") as made:
        yield made


async def alone(member: Member, text: str, *, dry_run: bool = False) -> ReloadReport:
    """Reload one node only."""
    member.write("ada.py", character("Ada", text))
    return await member.manager.reload_characters(ReloadRequest(dry_run=dry_run), consent=Drift(member.shared))


async def test_a_node_without_the_engine_can_be_reloaded_alone(two: Cluster) -> None:
    """It serves what it was given, and says that it has drifted; the others are not asked."""
    n1, n2 = two.members["n1"], two.members["n2"]
    n2.engine.cut()
    report = await alone(n2, "Help is coming.")
    assert (report.outcome, report.fleet) == ("applied", None)
    assert (prompt(n2.manager), n2.shared.served.state) == ("Help is coming.", "drifted")
    assert (prompt(n1.manager), n1.shared.served.state) == ("Of n1.", "serving")


async def test_the_register_wins_when_the_engine_is_back(two: Cluster) -> None:
    """The node returns to the set of the fleet by itself, at the same epoch."""
    n2 = two.members["n2"]
    n2.engine.cut()
    await alone(n2, "Help is coming.")
    n2.engine.heal()
    await two.equal()
    assert (prompt(n2.manager), n2.shared.served.state, n2.epoch) == ("Of n1.", "serving", 1)


async def test_a_node_that_has_drifted_follows_before_it_reloads_the_others(
    two: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Asked for a rollout, it returns to the set of the fleet first, which is no fault and logged as none."""
    n1, n2 = two.members["n1"], two.members["n2"]
    caplog.set_level(logging.INFO)
    await alone(n2, "Help is coming.")
    n2.write("ada.py", character("Ada", "New words."))
    assert (await n2.reload()).generation == 2
    assert prompt(n1.manager) == prompt(n2.manager) == "New words."
    assert (
        "character reload not carried out (http, close): This node does not serve the set of the fleet yet"
        in caplog.text
    )
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_a_node_that_is_held_keeps_its_own_set(two: Cluster) -> None:
    """It takes part in no rollout until it is released, and refuses to begin one."""
    n1, n2 = two.members["n1"], two.members["n2"]
    n2.shared.is_held = True
    await alone(n2, "Help is coming.")
    n2.write("bob.py", character("Bob"))
    with pytest.raises(ReloadRejected, match="this node is held") as caught:
        await n2.reload()
    assert caught.value.code is ReloadCode.ROLLOUT_IN_PROGRESS
    assert (prompt(n2.manager), n2.shared.served.state) == ("Help is coming.", "drifted")
    n2.shared.is_held = False
    n2.fleet.node.registers.notify()
    await two.equal()
    assert prompt(n1.manager) == prompt(n2.manager) == "Of n1."


async def test_a_dry_run_does_not_drift(two: Cluster) -> None:
    """What would load at this node is reported, and nothing changes."""
    n2 = two.members["n2"]
    report = await alone(n2, "Help is coming.", dry_run=True)
    assert (report.outcome, n2.shared.served.state, prompt(n2.manager)) == ("valid", "serving", "Of n1.")


async def test_a_drifted_set_is_never_given_to_the_engine(two: Cluster) -> None:
    """If the engine has lost all, the nodes give back what the fleet decided, not what one of them serves alone."""
    n1, n2 = two.members["n1"], two.members["n2"]
    n2.shared.is_held = True
    await alone(n2, "Help is coming.")
    n1.engine.cut()
    two.store.lose()
    n2.fleet.node.registers.notify()
    await eventually(lambda: two.store.is_set_up)
    await n2.fleet.restore()
    assert two.store.messages("state.desired") == []
    n1.engine.heal()
    n2.shared.is_held = False
    await two.equal()
    assert prompt(n2.manager) == "Of n1."


async def test_a_node_that_never_met_its_fleet_can_be_told_to_begin(tmp_path: Path) -> None:
    """Started without the engine it serves what it was given, and takes the set of the fleet once it can."""
    async with cluster(tmp_path, "n1") as made:
        late = await made.start("n2", step=_down, join=False)
        await alone(late, "Help is coming.")
        assert (late.shared.served.state, late.epoch) == ("drifted", 0)
        late.engine.step = None
        await made.equal()
        assert prompt(late.manager) == "Of n1."


async def _down(request: str, subject: str, moment: str) -> None:
    if subject == "state.desired":
        raise Unavailable("the engine is down")
