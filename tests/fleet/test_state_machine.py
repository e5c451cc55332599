"""Random sequences of reloads and faults leave every node with a set that was committed, and in the end with the same.

The machine runs two to four nodes over an engine in memory, and cuts, pauses, deafens and kills them, also in the
middle of any request.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from charhost.errors import ReloadRefused
from charhost.reload.attempt import FromHistory
from charhost.reload.request import ReloadRequest
from charhost.report import ReloadReport
from tests.conftest import character
from tests.fleet.cluster import Cluster, Member, eventually

T = TypeVar("T")

NODES = ("n1", "n2", "n3", "n4")
names = st.sampled_from(NODES)
# Seconds that the nodes run after each step.
RUN = 0.03


class Fuse:
    """Kills a node at one of its next requests, before it is sent or after it was carried out."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.member: Member | None = None
        self.kills: set[asyncio.Task[None]] = set()

    async def step(self, request: str, subject: str, moment: str) -> None:
        if self.left is None or self.member is None or not self.member.is_up:
            return
        self.left -= 1
        if self.left <= 0:
            self.left = None
            self.kills.add(asyncio.get_running_loop().create_task(self.member.kill()))
            await asyncio.Event().wait()


class Fleets(RuleBasedStateMachine):
    """Nodes under faults; `acknowledged` has the revision of each generation that a reload reported."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = Path(tempfile.mkdtemp())
        self.cluster = Cluster(self.home, deadline=1.0, reconcile=0.1, doubt=0.4)
        self.fuses: dict[str, Fuse] = {}
        self.highest: dict[Member, int] = {}
        self.acknowledged: dict[int, str] = {}
        self.reloads: set[asyncio.Task[None]] = set()
        self.versions = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def stepped() -> T:
            result = await coroutine
            await asyncio.sleep(RUN)
            return result

        return self.loop.run_until_complete(stepped())

    @initialize(count=st.integers(2, 4))
    def begin(self, count: int) -> None:
        self.run(self.cluster.set_up())
        for name in NODES[:count]:
            self.run(self._start(name, join=True))

    @rule(name=names, fails=st.booleans())
    def save_and_reload(self, name: str, fails: bool) -> None:
        """A character is saved at one node, perhaps one that cannot be built, and reloaded while the others go on."""
        if member := self._up(name):
            self.versions += 1
            text = "raise SystemExit" if fails else character("Ada", f"Version {self.versions}.")
            member.write("ada.py", text)
            self.run(self._reload(member, None))

    @rule(name=names)
    def roll_back(self, name: str) -> None:
        if member := self._up(name):
            self.run(self._reload(member, FromHistory()))

    @rule(name=names)
    def cut_or_heal(self, name: str) -> None:
        if member := self._up(name):
            (member.engine.cut if member.engine.is_connected else member.engine.heal)()
            self.run(asyncio.sleep(0))

    @rule(name=names)
    def lose_hints_or_hear_again(self, name: str) -> None:
        if member := self._up(name):
            member.engine.hears = not member.engine.hears

    @rule(name=names, delay=st.sampled_from([0.0, 0.005, 0.02]))
    def delay(self, name: str, delay: float) -> None:
        if member := self._up(name):
            member.engine.delay = delay

    @rule(name=names)
    def pause(self, name: str) -> None:
        if member := self._up(name):
            member.engine.pause()

    @rule(name=names)
    def go_on(self, name: str) -> None:
        if member := self._up(name):
            member.engine.go_on()
            self.run(asyncio.sleep(0))

    @rule(name=names, requests=st.integers(1, 12))
    def kill_at_a_request(self, name: str, requests: int) -> None:
        if self._up(name):
            self.fuses[name].left = requests
            self.run(asyncio.sleep(0))

    @rule(name=names)
    def start_again(self, name: str) -> None:
        """A node that was killed comes back; one that is up stays."""
        if name in self.cluster.members and not self.cluster.members[name].is_up:
            self.run(self._start(name, join=False))

    @rule()
    def wait(self) -> None:
        """Time passes: deadlines and statuses end."""
        self.run(asyncio.sleep(0.5))

    @rule()
    def lose_the_store(self) -> None:
        """All that the engine has is gone, while all nodes are equal; one of them that lives on gives it back."""
        armed = any(fuse.left is not None for fuse in self.fuses.values())
        able = any(member.engine.is_connected and member.engine.is_going_on for member in self.cluster.up)
        if able and not armed and not self.reloads and self.cluster.is_equal:
            self.cluster.store.lose()
            self.run(eventually(lambda: self.cluster.store.is_set_up and self.cluster.store.messages("state.desired")))

    @invariant()
    def each_epoch_is_one_set_and_is_served_once_committed(self) -> None:
        committed = self.cluster.store.committed
        assert self.cluster.early == []
        assert all(len(revisions) == 1 for revisions in committed.values()), committed
        for member in self.cluster.members.values():
            if member.epoch:
                assert committed[member.epoch] == {member.manager.current.revision}

    @invariant()
    def epochs_never_fall(self) -> None:
        for member in self.cluster.members.values():
            assert member.epoch >= self.highest.get(member, 0)
            self.highest[member] = member.epoch

    def teardown(self) -> None:
        try:
            if self.cluster.members:
                self.loop.run_until_complete(self._converge())
        finally:
            self.loop.run_until_complete(self._close())
            self.loop.close()
            shutil.rmtree(self.home, ignore_errors=True)

    async def _converge(self) -> None:
        """Mend all faults; then all nodes become equal by themselves, and nothing that was acknowledged is missing."""
        for name, member in self.cluster.members.items():
            self.fuses[name].left = None
            member.engine.hears, member.engine.delay = True, 0.0
            if member.is_up:
                member.engine.heal()
                member.engine.go_on()
        await asyncio.gather(*self.reloads, *(kill for fuse in self.fuses.values() for kill in fuse.kills))
        if not self.cluster.up:
            await self._start("n1", join=False)
        await self.cluster.equal()
        for generation, revision in self.acknowledged.items():
            assert self.cluster.store.committed[generation] == {revision}

    async def _close(self) -> None:
        for task in self.reloads:
            task.cancel()
        await self.cluster.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [task for task in rest if "fleet" in repr(task)], rest

    def _up(self, name: str) -> Member | None:
        member = self.cluster.members.get(name)
        return member if member is not None and member.is_up else None

    async def _start(self, name: str, *, join: bool) -> None:
        fuse = self.fuses[name] = Fuse()
        fuse.member = await self.cluster.start(name, step=fuse.step, join=join)

    async def _reload(self, member: Member, source: FromHistory | None) -> None:
        task = asyncio.get_running_loop().create_task(self._reported(member, source))
        self.reloads.add(task)
        task.add_done_callback(self.reloads.discard)

    async def _reported(self, member: Member, source: FromHistory | None) -> None:
        request = ReloadRequest(scope="changed", on_error="abort")
        trigger = "http" if source is None else "rollback"
        with suppress(ReloadRefused):
            report: ReloadReport = await member.manager.reload_characters(request, source, trigger=trigger)  # type: ignore[arg-type]
            if report.outcome == "applied":
                self.acknowledged[report.generation] = report.revision


def test_no_fault_makes_nodes_differ_for_long() -> None:
    """Through cuts, pauses, kills and lost stores the invariants of a fleet hold, and its nodes become equal again."""
    run_state_machine_as_test(
        Fleets,
        settings=settings(
            max_examples=6,
            stateful_step_count=20,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
