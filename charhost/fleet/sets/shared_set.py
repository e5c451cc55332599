"""SharedSet: a character set that all nodes of a fleet serve."""

import logging
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from charhost.errors import ReloadRejected, RolloutInProgress
from charhost.fleet.engine.engine import Conflict, Unavailable
from charhost.fleet.hints import Hints
from charhost.fleet.node import Node
from charhost.fleet.record import (
    Change,
    Proposal,
    Register,
    ServedSet,
    ServedState,
    Step,
    epoch_subject,
    is_asked,
    is_followed,
    is_older,
    next_step,
    register_subject,
)
from charhost.fleet.records import Found
from charhost.fleet.sets.library import Library
from charhost.loading.stored_set import StoredSet, snapshots_of
from charhost.reload.manager import CharacterManager
from charhost.report import DEFAULT_SET, FileError

log = logging.getLogger("charhost.fleet")

# Seconds until a set that failed here is tried again.
_AGAIN = 30.0


class SharedSet:
    """One set of the fleet, as this node knows it: its register, and the set that serves here.

    `change` is the set that serves, None if it is not of the fleet; `epoch` its number, 0 for none. A node goes to no
    lower epoch. While it `is_drifted` the set is one of this node alone, in place of that epoch.
    """

    def __init__(self, node: Node, manager: CharacterManager, library: Library, *, begins: bool = True) -> None:
        self.node = node
        self.manager = manager
        self.library = library
        self.name = manager.name
        self.found: Found[Register] = Found()
        self.changed = Hints()
        self.change: Change | None = None
        self.is_held = False
        self.is_drifted = False
        self.begins = begins
        self.error: str | None = None
        self.errors: tuple[FileError, ...] = ()
        self._failed: tuple[int, float] | None = None
        self._voted: Proposal | None = None
        self._seen: tuple[Proposal | None, float] = (None, 0.0)
        self._since_behind: float | None = None
        self._is_coordinating = False

    @property
    def epoch(self) -> int:
        return self.change.epoch if self.change is not None else 0

    @property
    def register(self) -> Register | None:
        return self.found.record

    @property
    def subject(self) -> str:
        return register_subject(self.name)

    @property
    def is_current(self) -> bool:
        """Whether this node serves the set of the register, or the engine has an older one."""
        committed = self.register.committed if self.register is not None else None
        return self.change is not None and (committed is None or is_followed(committed, self.change))

    @property
    def is_gone(self) -> bool:
        """Whether the fleet does not have the set any more, or never took it."""
        register = self._recent
        return register is not None and register.committed is None and register.proposed is None

    @property
    def is_removed(self) -> bool:
        return self._recent is not None and self._recent.removed

    @property
    def _recent(self) -> Register | None:
        """The register, if it is none of before the set that serves, which was written again."""
        register = self.register
        return register if register is not None and register.epoch >= self.epoch else None

    @property
    def is_lost(self) -> bool:
        """Whether the engine has no register of a set that is served here, or one that the fleet did not sign."""
        return self.change is not None and self.register is None and not self.found.is_signed

    @property
    def served(self) -> ServedSet:
        """What this node tells the others about the set."""
        return ServedSet(
            epoch=self.epoch,
            revision=self.manager.current.revision,
            state=self._state(),
            error=self.error,
            errors=self.errors,
        )

    def _state(self) -> ServedState:
        if self.is_drifted:
            return "drifted"
        if self.error is not None and not self.is_current:
            return "failed"
        if self.change is None:
            return "drifted" if self.manager.current else "building"
        if self.register is not None and is_older(self.register, self.change):
            return "behind"
        return "serving" if self.is_current else "building"

    async def read(self) -> Found[Register]:
        """Read the register from the leader."""
        self.found = await self.node.records.read(self.subject, Register)
        self._measure()
        self.changed.notify()
        return self.found

    async def look(self, *, is_hinted: bool) -> None:
        """Read the register, because of a hint or without one, and abort a proposal in it that was left behind."""
        before = self.found.sequence
        await self.read()
        result = "in_sync" if self.found.sequence == before else "hinted" if is_hinted else "drift"
        self.node.metrics.reconciles.labels(result).inc()
        await self._abort_if_left()

    @contextmanager
    def coordinating(self) -> Iterator[None]:
        """Do nothing that other nodes ask for while the block runs: this node asks them."""
        self._is_coordinating = True
        try:
            yield
        finally:
            self._is_coordinating = False
            self.node.registers.notify()

    def serves(self, change: Change) -> None:
        """Note that *change* is served from now on."""
        self.change, self.error, self.errors, self._failed = change, None, (), None
        self.is_drifted = False
        self._measure()
        self.changed.notify()
        self.node.changed.set()

    def drifts(self) -> None:
        """Note that this node serves a set of its own from now on, until it follows the register again."""
        if self.change is not None:
            self.change = self.change.model_copy(update={"revision": self.manager.current.revision})
        self.error, self.errors, self.is_drifted = None, (), not self.is_current
        self._measure()
        self.changed.notify()
        self.node.changed.set()

    def fails(self, epoch: int, error: Exception) -> None:
        """Note that the set of an epoch cannot be served here."""
        self.errors = error.report.errors if isinstance(error, ReloadRejected) else ()
        self.error = error.detail if isinstance(error, ReloadRejected) else str(error)
        self._failed = epoch, self.node.clock()
        log.error("this node cannot serve epoch %d of the set %s: %s", epoch, self.name, error)
        self.node.changed.set()

    def has_failed(self, epoch: int) -> bool:
        return self._failed is not None and self._failed[0] == epoch

    def has_followed(self, register: Register) -> bool:
        """Return whether this node serves the committed set, or has found that it cannot."""
        committed = register.committed
        return committed is None or is_followed(committed, self.change) or self.has_failed(committed.epoch)

    async def wake(self) -> None:
        """Have all nodes read the register; the engine sends that hint itself for the default set."""
        if self.name != DEFAULT_SET:
            await self.node.wake("desired")

    def in_progress(self, why: str) -> RolloutInProgress:
        return RolloutInProgress(why, self.settled)

    async def settled(self) -> None:
        """Wait until no rollout is under way and this node has followed the last one, or for some seconds."""
        with suppress(Unavailable):
            await self.read()
        seen, ends = -1, self.node.clock() + self.node.deadline + self.node.doubt
        while (left := ends - self.node.clock()) > 0:
            register = self.register
            if register is None or (register.proposed is None and self.has_followed(register)):
                return
            seen = await self.changed.wait(seen, left)

    async def withdraw(self) -> None:
        """Have no node serve the set; raises `Unavailable`, `Conflict` and `RolloutInProgress`."""
        found = await self.read()
        if found.record is None or found.record.removed:
            return
        if found.record.proposed is not None:
            raise self.in_progress(f"Rollout {found.record.epoch} of the set {self.name} is under way.")
        await self.node.records.write(self.subject, found.record.remove(), found.sequence)
        await self.wake()

    async def stored(self, epoch: int | None) -> StoredSet | None:
        """Return the set of an epoch from the engine, None: of the one before; None if it is not there."""
        earlier = [epoch] if epoch is not None else [one for one in reversed(await self.epochs()) if one < self.epoch]
        for wanted in earlier:
            found = (await self.node.records.read(epoch_subject(self.name, wanted), Change)).record
            if found is not None:
                return await self.fetch(found.root, found.epoch)
        return None

    async def epochs(self) -> list[int]:
        """Return the epochs that may be restored, the oldest first."""
        names = await self.node.records.names(f"state.epoch.{self.name}")
        # A writer without the key can add any names.
        return sorted(int(name) for name in names if re.fullmatch("[0-9]{1,18}", name))

    async def upload(self, stored: StoredSet) -> str:
        """Store the bytes of a set that the engine lacks, and return its root."""
        committed = self.register.committed if self.register is not None else None
        return await self.library.upload(stored, committed.root if committed is not None else None)

    async def fetch(self, root: str, epoch: int) -> StoredSet:
        """Return the set of a root as that of an epoch; raises `DamagedSet` and `Unavailable`."""
        return await self.library.fetch(root, epoch, snapshots_of(self.manager.current))

    @property
    def step(self) -> Step | None:
        """What the register asks this node to do now."""
        register = self.register
        if register is None:
            register = self._unwritten()
        if register is None or self._is_coordinating or self.is_held:
            return None
        step = next_step(register, self.node.name, self.node.instance, self.change, self._voted)
        if step == "begin" and not self.begins:
            return None
        target = register.committed.epoch if register.committed is not None else 0
        if step in ("follow", "begin") and self._failed is not None and self._failed[0] == target:
            due = self._failed[1] + _AGAIN <= self.node.clock()
            can_vote = register.proposed is not None and self._is_asked(register.proposed)
            return step if due else "vote" if can_vote else None
        return step

    def _is_asked(self, proposal: Proposal) -> bool:
        return is_asked(proposal, self.node.name, self.node.instance, self._voted)

    def _unwritten(self) -> Register | None:
        """Return the register of a set that was never proposed; that of the default set is written by `setup`."""
        return Register() if self.name != DEFAULT_SET and self.found.sequence == 0 and self.changed.count else None

    def votes_on(self, proposal: Proposal) -> None:
        self._voted = proposal

    async def abort(self, why: str) -> None:
        """Abort the proposal that was last read, unless it has ended meanwhile."""
        found = self.found
        if found.record is not None and found.record.proposed is not None:
            log.warning("aborting rollout %d of the set %s: %s", found.record.epoch, self.name, why)
            await self.node.records.write(self.subject, found.record.abort(why), found.sequence)
            await self.read()

    async def _abort_if_left(self) -> None:
        """Abort a proposal of another node that this one has seen for too long: its coordinator is gone."""
        proposal = self.register.proposed if self.register is not None else None
        if proposal is None or proposal.instance == self.node.instance:
            return
        now = self.node.clock()
        if self._seen[0] != proposal:
            spread = random.uniform(1, 1.4)  # nodes do not abort it together
            self._seen = proposal, now + proposal.deadline + spread * self.node.doubt
        elif now >= self._seen[1]:
            try:
                await self.abort(f"{proposal.by}, which coordinated it, did not end it.")
            except Conflict:
                await self.read()

    def _measure(self) -> None:
        if self._since_behind is None or self.is_current:
            self._since_behind = None if self.is_current else self.node.clock()
        if self.name == DEFAULT_SET:
            metrics, committed = self.node.metrics, self.register.committed if self.register is not None else None
            metrics.epoch.set(self.epoch)
            metrics.register_epoch.set(committed.epoch if committed is not None else 0)
            metrics.behind_seconds.set(self.node.clock() - self._since_behind if self._since_behind is not None else 0)
