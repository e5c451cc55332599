"""Fleet: this server as one of several that serve the same sets."""

import asyncio
import logging
import platform
import re
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from charhost import __version__
from charhost.errors import FleetUnreachable, SettingsError
from charhost.fleet.engine.engine import Conflict, Engine, NotSetUp, Unavailable
from charhost.fleet.node import Node
from charhost.fleet.options import FleetOptions
from charhost.fleet.record import NodeStatus, Register, register_subject
from charhost.fleet.records import Records
from charhost.fleet.sets.follow import Follower
from charhost.fleet.sets.library import Library
from charhost.fleet.sets.pack import DamagedSet
from charhost.fleet.sets.restoring import restore
from charhost.fleet.sets.rollout import Coordinator
from charhost.fleet.sets.shared_set import SharedSet
from charhost.fleet.sets.tidying import tidy
from charhost.fleet.signature import Signature
from charhost.loading.snapshot import Limits
from charhost.logs.fault_log import FaultLog
from charhost.memory.budget import MemoryBudget
from charhost.metrics import FleetMetrics
from charhost.reload.manager import CharacterManager
from charhost.report import SET_NAME

log = logging.getLogger("charhost.fleet")

_CRASHED = 1.0
# Between two looks for bytes to drop, which stay for an hour anyway.
_TIDY = 60.0
_LOOK = 0.2


class SetOwner(Protocol):
    """Makes and removes the sets of this node."""

    def follow(self, name: str, directory: str) -> CharacterManager:
        """Make a set that the fleet has, and that is to be seen once it serves."""

    async def drop(self, name: str) -> None:
        """Remove a set that the fleet does not have any more."""


class Fleet:
    """Owns the knowledge that this node has of the fleet, and the tasks that keep it equal to the others.

    It reads the registers at every hint and every few seconds. While the engine is down the node serves on.
    """

    def __init__(
        self,
        engine: Engine,
        options: FleetOptions,
        metrics: FleetMetrics,
        limits: Limits,
        sessions: Callable[[], int] = lambda: 0,
        budget: MemoryBudget | None = None,
    ) -> None:
        self.engine = engine
        engine.observer = metrics
        self.options = options
        self.sets: dict[str, SharedSet] = {}
        self.owner: SetOwner | None = None
        self._followed: set[str] = set()
        self._sessions = sessions
        self._limits = limits
        self._budget = budget or MemoryBudget()
        self._metrics = metrics
        self._followers: dict[str, Follower] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._is_leaving = False
        self._trouble: str | None = None
        self._cut_off_since: float | None = None
        self._faults = FaultLog(log)
        records = Records(engine, Signature(options.key, options.fleet), metrics)
        self.node = Node(
            name=options.node,
            instance=secrets.token_hex(8),
            records=records,
            metrics=metrics,
            deadline=options.deadline,
            reconcile=options.reconcile,
            engine=engine,
            describe=lambda: self.status,
        )

    @property
    def status(self) -> NodeStatus:
        """What this node says about itself."""
        return NodeStatus(
            node=self.node.name,
            instance=self.node.instance,
            version=__version__,
            python=platform.python_version(),
            url=self.options.url,
            sessions=self._sessions(),
            leaving=self._is_leaving,
            sets={name: shared.served for name, shared in self.sets.items()},
        )

    @property
    def trouble(self) -> str | None:
        """Why the engine could not be used the last time; None if it could."""
        return self._trouble

    @property
    def cut_off_for(self) -> float:
        """Seconds for which the engine could not be reached."""
        return 0.0 if self._cut_off_since is None else self.node.clock() - self._cut_off_since

    @property
    def is_leaving(self) -> bool:
        return self._is_leaving

    def add(self, manager: CharacterManager, *, begins: bool = True) -> SharedSet:
        """Share the set of a manager: its reloads are rollouts from now on.

        With *begins* its directory becomes the first set of that name, if the fleet has none.
        """
        library = Library(self.engine, self._limits, self._metrics, self._budget)
        shared = SharedSet(self.node, manager, library, begins=begins)
        manager.consent = Coordinator(shared)
        self.sets[manager.name] = shared
        self._followers[manager.name] = Follower(shared)
        self.node.registers.notify()
        return shared

    async def remove(self, name: str) -> None:
        """Share a set no longer."""
        shared = self.sets.pop(name, None)
        self._followed.discard(name)
        if (follower := self._followers.pop(name, None)) is not None:
            await follower.stop()
        if shared is not None:
            shared.library.close()

    async def start(self) -> None:
        """Take the name of this node, and begin; raise `SettingsError` if another process has the name."""
        try:
            other = await self.engine.ask(self.node.name)
            if other is not None:
                text = f"another process is the node {self.node.name} of this fleet: choose another --fleet-node"
                raise SettingsError(text)
        except Unavailable as e:
            log.warning("the engine of the fleet cannot be reached, and is tried again: %s", e)
        await self.engine.respond(self.node.name, self.node.instance.encode())
        for topic, hints in (
            ("desired", self.node.registers),
            ("vote", self.node.votes),
            ("node", self.node.statuses),
        ):
            self.engine.on_hint(topic, hints.notify)
        self._begin(self._reconcile)
        self._begin(self.node.announce)
        self._begin(self._tidy)

    async def close(self) -> None:
        """Leave the fleet: no rollout waits for this node."""
        for follower in self._followers.values():
            await follower.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(Unavailable):
            await self.node.leave()

    def leave(self) -> None:
        """Say that this node ends soon."""
        self._is_leaving = True
        self.node.changed.set()

    async def join(self, name: str, seconds: float) -> bool:
        """Wait until this node serves the set of the fleet, and return whether it does.

        It ends early when the set fails here, and when the engine cannot be used.
        """
        shared, seen = self.sets[name], -1
        ends = self.node.clock() + seconds
        while not shared.is_current and shared.error is None and self._trouble is None and not shared.is_removed:
            if (left := ends - self.node.clock()) <= 0:
                break
            seen = await shared.changed.wait(seen, min(left, _LOOK))
        return shared.is_current

    async def withdraw(self, name: str) -> None:
        """Have no node serve a set; raises `FleetUnreachable` and `RolloutInProgress`."""
        shared = self.sets.get(name)
        try:
            if shared is not None:
                await shared.withdraw()
        except Conflict as e:
            raise self.sets[name].in_progress(f"A rollout of the set {name} has begun at the same time.") from e
        except Unavailable as e:
            raise FleetUnreachable(e) from e

    async def restore(self) -> None:
        """Write the sets that this node serves into an engine that has lost them. Raises `Unavailable`."""
        await self.engine.setup()
        for shared in list(self.sets.values()):
            await restore(shared)

    def _begin(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.create_task(self._supervised(run)))

    async def _supervised(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await run()
            except Exception as e:
                self._faults.error("a task of the fleet crashed, and is started again", cause=e)
                await asyncio.sleep(_CRASHED)

    async def _reconcile(self) -> None:
        is_hinted = True
        while True:
            seen = self.node.registers.count
            try:
                for name, shared in list(self.sets.items()):
                    await shared.look(is_hinted=is_hinted)
                    self._followers[name].work()
                await self._follow_sets()
                self._reached(None)
                if any(shared.is_lost for shared in self.sets.values()):
                    await self.restore()
            except NotSetUp as e:
                await self._heal(e)
            except Unavailable as e:
                self._reached(str(e))
                self._faults.error("the engine of the fleet cannot be reached; this node serves on: %s", e)
            is_hinted = await self.node.registers.wait(seen, self.node.pause) > seen

    async def _tidy(self) -> None:
        """Drop the bytes that no set needs any more, soon after this node has dropped the record of an epoch."""
        while True:
            await self.node.untidy.wait()
            self.node.untidy.clear()
            with suppress(Unavailable, DamagedSet):
                log.info("dropped %d blobs that no set needs", await tidy(self.node, self._limits))
            await asyncio.sleep(_TIDY)

    async def _follow_sets(self) -> None:
        """Follow the sets that other nodes have added, and drop those that were removed."""
        if self.owner is None:
            return
        for name, shared in list(self.sets.items()):
            # One that is just being added here again is not served yet, and its register still that of its removal.
            is_served = shared.begins or shared.epoch > 0
            if shared.is_gone and (name in self._followed or (shared.is_removed and is_served)):
                await self.owner.drop(name)
                await self.remove(name)
        for name in await self.node.records.names("state.desired"):
            if name not in self.sets and re.fullmatch(SET_NAME, name):
                register = (await self.node.records.read(register_subject(name), Register)).record
                change = (register.committed or register.proposed) if register is not None else None
                if change is not None:
                    self._followed.add(name)
                    self.add(self.owner.follow(name, change.directory), begins=False)

    async def _heal(self, error: NotSetUp) -> None:
        """Fill an empty engine with the sets of this node, if it has any; only `setup` begins a fleet."""
        self._reached(str(error))
        if not any(shared.epoch for shared in self.sets.values()):
            self._faults.error("the engine has nothing of this fleet: run charhost fleet setup (%s)", error)
            return
        try:
            await self.restore()
        except Unavailable as e:
            self._faults.error("the engine of the fleet cannot be given back what it has lost: %s", e)

    def _reached(self, trouble: str | None) -> None:
        self._trouble = trouble
        self._metrics.connected.set(trouble is None)
        if trouble is None:
            self._cut_off_since = None
        else:
            self._cut_off_since = self._cut_off_since or self.node.clock()
