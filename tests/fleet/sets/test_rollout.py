"""A reload at one node changes all nodes, or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from charhost.errors import ReloadCode, ReloadRejected
from charhost.fleet.record import Register, Vote, vote_subject
from charhost.fleet.signature import Signature
from charhost.reload.request import ReloadRequest
from charhost.report import DEFAULT_SET, ReloadReport
from tests.conftest import character, prompt
from tests.fleet.cluster import PATIENCE, Cluster, cluster, eventually, register_of


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path, "n1", "n2", "n3") as made:
        yield made


async def test_the_first_node_begins_the_fleet_and_the_others_follow(three: Cluster) -> None:
    """The directory of the first node is epoch 1; what lies on the disks of the others is not served."""
    await three.equal()
    assert [prompt(member.manager) for member in three.up] == ["Of n1."] * 3
    assert {member.manager.current.etag for member in three.up} == {three.members["n1"].manager.current.etag}


async def test_nodes_that_begin_at_once_make_one_set(tmp_path: Path) -> None:
    """Of nodes that find an empty fleet one begins it; the others vote and follow, and no deadline is waited for."""
    async with cluster(tmp_path, deadline=PATIENCE) as made:
        await asyncio.gather(*(made.start(name) for name in ("n1", "n2", "n3")))
        await made.equal()
        assert {member.epoch for member in made.up} == {1}


async def test_a_reload_at_any_node_changes_all(three: Cluster) -> None:
    """The report has every node, and all serve the same generation when it is returned."""
    n2 = three.members["n2"]
    n2.write("bob.py", character("Bob", "Be bold."))
    report = await n2.reload()
    assert [prompt(member.manager, "Bob") for member in three.up] == ["Be bold."] * 3
    assert {member.manager.current.generation for member in three.up} == {report.generation} == {2}
    assert report.fleet is not None
    assert (report.fleet.outcome, report.fleet.epoch) == ("committed", 2)
    assert {(one.node, one.state) for one in report.fleet.nodes} == {(n, "serving") for n in ("n1", "n2", "n3")}


async def test_only_what_changed_is_executed_by_the_others(three: Cluster) -> None:
    """A follower carries over the characters whose files did not change."""
    n1, n3 = three.members["n1"], three.members["n3"]
    ada = n3.manager.current["Ada"]
    n1.write("bob.py", character("Bob"))
    await n1.reload()
    assert n3.manager.current["Ada"] is ada


async def test_a_node_that_cannot_build_the_set_aborts_it(three: Cluster) -> None:
    """Nothing changes anywhere, and the refusal names node, file and line."""
    n1, once = three.members["n1"], repr(str(three.home / "once"))
    second = f"import os\nif os.path.exists({once}): raise RuntimeError('no GPU here')\nos.mkdir({once})\n"
    n1.write("bob.py", second + character("Bob"))
    with pytest.raises(ReloadRejected, match=r"n[23]: bob\.py:2: RuntimeError: no GPU here") as caught:
        await n1.reload()
    assert caught.value.code is ReloadCode.FLEET_REFUSED
    assert [list(member.manager.current) for member in three.up] == [["Ada"]] * 3
    assert caught.value.report.fleet is not None
    assert caught.value.report.fleet.outcome == "aborted"
    await eventually(lambda: register_of(n1).proposed is None)


async def test_a_node_that_has_built_a_set_waits_for_the_decision(three: Cluster) -> None:
    """While another node is silent no node serves the set; then all do, none before the register has it."""
    n1, n2, n3 = three.up
    n3.engine.pause()
    n1.write("bob.py", character("Bob"))
    reloading = asyncio.create_task(n1.reload())
    await eventually(lambda: three.store.messages("state.vote.default.n2"))
    await n2.shared.read()
    assert [list(member.manager.current) for member in three.up] == [["Ada"]] * 3
    n3.engine.go_on()
    await reloading
    await three.equal()
    assert (list(n2.manager.current), three.early) == (["Ada", "Bob"], [])


async def test_a_dry_run_asks_all_nodes_and_changes_none(three: Cluster) -> None:
    """It reports that the set would load on every node."""
    n1 = three.members["n1"]
    n1.write("bob.py", character("Bob"))
    report = await n1.reload(dry_run=True)
    assert (report.outcome, report.fleet and report.fleet.outcome) == ("valid", "valid")
    assert [list(member.manager.current) for member in three.up] == [["Ada"]] * 3


async def test_two_reloads_at_once_follow_each_other(three: Cluster) -> None:
    """Three nodes that are asked in the same moment are served one after the other, and all end equal."""
    for member in three.up:
        member.write(f"{member.name}.py", character(member.name.title()))
    reports = await asyncio.gather(*(member.reload() for member in three.up))
    assert len({report.generation for report in reports}) == 3
    await three.equal()


async def test_a_proposal_that_arrives_second_replaces_none(three: Cluster) -> None:
    """Of two nodes that both found nothing proposed one proposes; the other one waits, and begins again."""
    n1, n2, _ = three.up
    has_proposed = asyncio.Event()

    async def step(request: str, subject: str, moment: str) -> None:
        if (request, moment) == ("store_blob", "before"):
            n2.engine.step = None
            first.append(asyncio.create_task(n1.reload()))
            await eventually(lambda: b'"proposed":{' in three.store.messages("state.desired")[-1].data)
            has_proposed.set()

    first: list[asyncio.Task[ReloadReport]] = []
    n1.write("bob.py", character("Bob"))
    n2.write("eve.py", character("Eve"))
    n2.engine.step = step
    second = await n2.reload()
    assert has_proposed.is_set()
    assert ((await first[0]).generation, second.generation) == (2, 3)
    assert all(len(revisions) == 1 for revisions in three.store.committed.values())
    await three.equal()


async def test_a_late_node_joins_what_is_served(three: Cluster) -> None:
    """A node that starts later serves the set of the fleet, not its own directory."""
    late = await three.start("n4")
    assert prompt(late.manager) == "Of n1."
    assert late.epoch == three.members["n1"].epoch


async def test_a_node_that_was_cut_off_catches_up(three: Cluster) -> None:
    """It serves on meanwhile, refuses reloads, and follows by itself when it is back."""
    n1, n3 = three.members["n1"], three.members["n3"]
    n3.engine.cut()
    n3.write("eve.py", character("Eve"))
    with pytest.raises(ReloadRejected) as caught:
        await n3.reload()
    assert caught.value.code is ReloadCode.FLEET_UNREACHABLE
    n1.write("bob.py", character("Bob"))
    report = await n1.reload()  # once the status of n3 has ended
    assert list(n3.manager.current) == ["Ada"]
    assert report.fleet is not None
    assert {one.node: one.state for one in report.fleet.nodes}["n3"] == "silent"
    n3.engine.heal()
    await three.equal()
    assert list(n3.manager.current) == ["Ada", "Bob"]


async def test_hints_are_not_needed(three: Cluster) -> None:
    """With all hints lost a rollout still comes to its end, by reading."""
    for member in three.up:
        member.engine.hears = False
    n1 = three.members["n1"]
    n1.write("bob.py", character("Bob"))
    await n1.reload()
    await three.equal()


async def test_a_rollback_restores_an_epoch_on_all_nodes(three: Cluster) -> None:
    """The bytes come from the engine, also at a node that never served that epoch."""
    n1 = three.members["n1"]
    n1.write("ada.py", character("Ada", "Be brief."))
    await n1.reload()
    late = await three.start("n4")
    stored = await late.shared.stored(1)
    assert stored is not None
    await late.manager.reload_characters(ReloadRequest(on_error="abort"), stored, trigger="rollback")
    assert [prompt(member.manager) for member in three.up] == ["Of n1."] * 4


async def test_what_the_engine_has_lost_is_given_back(three: Cluster) -> None:
    """After the loss of the whole store the nodes restore the register and the bytes; a new node can join again."""
    n1 = three.members["n1"]
    n1.write("bob.py", character("Bob"))
    await n1.reload()
    three.store.lose()
    await eventually(lambda: three.store.is_set_up)
    late = await three.start("n4")
    await three.equal()
    assert (late.epoch, list(late.manager.current)) == (2, ["Ada", "Bob"])


async def test_an_empty_engine_is_no_new_fleet(tmp_path: Path) -> None:
    """A node never makes its own disk the truth of a fleet that was not set up."""
    made = Cluster(tmp_path)
    member = await made.start("n1", join=False)
    try:
        assert not await member.fleet.join("default", 0.5)
        assert not made.store.is_set_up
    finally:
        await made.close()


async def test_a_register_of_another_key_changes_nothing_and_is_replaced(three: Cluster) -> None:
    """A register that was written without the key is not followed: the nodes put back what they serve."""
    n1 = three.members["n1"]
    forged = Signature("another key of a fleet", "charhost")
    three.store.damage("state.desired", forged.sign("state.desired", Register(epoch=9).model_dump_json().encode()))
    n1.fleet.node.registers.notify()
    await eventually(lambda: b'"committed":{' in three.store.messages("state.desired")[-1].data)
    n1.write("bob.py", character("Bob"))
    assert (await n1.reload()).generation == 2


async def test_a_register_of_another_key_refuses_no_reload(three: Cluster) -> None:
    """A node that meets one before it has been replaced puts back what it serves, and reloads."""
    n1 = three.members["n1"]
    n1.write("bob.py", character("Bob"))
    three.store.damage("state.desired", b"of another writer")
    assert (await n1.reload()).generation == 2


async def test_a_vote_of_another_key_is_none(three: Cluster) -> None:
    """A failed vote that was written without the key aborts nothing, and is counted."""
    n1, n2 = three.members["n1"], three.members["n2"]
    subject = vote_subject(DEFAULT_SET, "n2")
    vote = Vote(node="n2", epoch=2, outcome="failed", why="a stranger says so")
    before = three.store.messages(subject)
    forged = Signature("another key of a fleet", "charhost").sign(subject, vote.model_dump_json().encode())
    three.store.append(subject, forged, before[-1].sequence if before else 0, None)
    n2.engine.pause()
    n1.write("bob.py", character("Bob"))
    reloading = asyncio.create_task(n1.reload())
    await eventually(lambda: n1.fleet.node.metrics.bad_signatures._value.get())
    n2.engine.go_on()
    assert (await reloading).generation == 2


async def test_a_status_of_another_key_keeps_no_rollout_waiting(tmp_path: Path) -> None:
    """A member that is gone is not waited for because of what a writer without the key says in its name."""
    async with cluster(tmp_path, "n1", "n2", deadline=PATIENCE) as two:
        n1, n2 = two.up
        n2.engine.pause()
        n1.write("bob.py", character("Bob"))
        reloading = asyncio.create_task(n1.reload())
        await eventually(lambda: b'"proposed":{' in two.store.messages("state.desired")[-1].data)
        await n2.kill()
        two.store.purge("state.node.n2", None)
        two.store.append("state.node.n2", b"n2 lives", 0, None)
        report = await asyncio.wait_for(reloading, PATIENCE / 2)
    assert report.fleet is not None
    assert {one.node: one.state for one in report.fleet.nodes} == {"n1": "serving", "n2": "silent"}


async def test_epochs_of_others_disturb_nothing(three: Cluster) -> None:
    """Reloads, and a rollback to the set before, work beside records of epochs that the fleet has not written."""
    n1 = three.members["n1"]
    for name in ("x", "1.x", "-1", "9" * 30, "\N{SUPERSCRIPT TWO}"):
        three.store.append(f"state.epoch.default.{name}", b"of another writer", 0, None)
    n1.write("bob.py", character("Bob"))
    assert (await n1.reload()).generation == 2
    n1.write("eve.py", character("Eve"))
    three.store.append("state.epoch.default.3", b"of another writer", 0, None)
    assert (await n1.reload()).generation == 3
    three.store.damage("state.epoch.default.2", b"of another writer")
    stored = await n1.shared.stored(None)
    assert stored is not None
    assert stored.generation == 1


async def test_an_old_register_that_is_written_again_takes_no_node_back(three: Cluster) -> None:
    """A signature holds for ever, so an old register can be replayed: nodes serve on, and give back the newest."""
    n1 = three.members["n1"]
    old = three.store.messages("state.desired")[-1].data
    n1.write("bob.py", character("Bob"))
    await n1.reload()
    await three.equal()
    three.store.damage("state.desired", old)
    for member in three.up:
        await member.shared.read()
        assert (member.shared.served.state, member.epoch, list(member.manager.current)) == ("behind", 2, ["Ada", "Bob"])
    n1.write("eve.py", character("Eve"))
    with pytest.raises(ReloadRejected, match="older set than the epoch 2") as caught:
        await n1.reload()
    assert caught.value.code is ReloadCode.FLEET_UNREACHABLE
    await n1.fleet.restore()
    assert (await n1.reload()).generation == 3
    await three.equal()
    assert list(n1.manager.current) == ["Ada", "Bob", "Eve"]
