"""Coordinator: how a set that this node has built comes to all nodes, or to none."""

import asyncio
import logging

from charhost.errors import ReloadCode, RolloutEnded, Withheld
from charhost.fleet.engine.engine import Conflict, Unavailable
from charhost.fleet.record import (
    VERSION,
    Decision,
    Proposal,
    Register,
    Vote,
    decide,
    epoch_subject,
    is_older,
    vote_subject,
)
from charhost.fleet.records import Found
from charhost.fleet.sets.restoring import restore
from charhost.fleet.sets.shared_set import SharedSet
from charhost.loading.stored_set import StoredSet
from charhost.reload.attempt import Attempt
from charhost.reload.swap import Swap
from charhost.report import DEFAULT_SET, FleetOutcome, NodeOutcome

log = logging.getLogger("charhost.fleet")

# Sets that can be rolled back to.
MOST_EPOCHS = 20
# Seconds between two looks for votes without a hint, and between two looks for nodes that are gone.
_PATIENCE = 0.5
_LOOK = 1.0
# Seconds that a reload waits until all nodes say that they serve the set.
_CONFIRM = 2.0


class Coordinator:
    """Brings each set that a manager has built to the fleet; with *begins* only as the first one of the fleet."""

    def __init__(self, shared: SharedSet, *, begins: bool = False) -> None:
        self._shared = shared
        self._begins = begins
        self._rollout: Rollout | None = None

    async def ask(self, attempt: Attempt, swap: Swap) -> int:
        with self._shared.coordinating():
            self._rollout = await self._proposed(attempt, swap)
            try:
                await self._rollout.decide()
            except Withheld:
                self._shared.library.forget()  # perhaps a node found that the engine has lost some
                raise
            finally:
                attempt.fleet = self._rollout.outcome
            return self._rollout.proposal.epoch

    async def confirm(self, attempt: Attempt) -> None:
        assert self._rollout is not None
        self._shared.serves(self._rollout.proposal.change)
        await self._rollout.confirm()
        attempt.fleet = self._rollout.outcome

    async def _proposed(self, attempt: Attempt, swap: Swap) -> "Rollout":
        shared, began = self._shared, self._shared.node.clock()
        try:
            found = await shared.read()
            if shared.is_lost:  # by a writer without the key, a moment ago
                await restore(shared)
                found = await shared.read()
            register = self._free(found)
            root, alive = await asyncio.gather(shared.upload(StoredSet.of(swap.after)), shared.node.alive())
            proposed = register.propose(self._proposal(attempt, swap, register.epoch + 1, root, tuple(sorted(alive))))
            sequence = await shared.node.records.write(shared.subject, proposed, found.sequence)
        except Conflict as e:
            if self._begins:  # it is not to be waited for: it waits for the vote of this node
                raise RolloutEnded("another node has begun the fleet at the same time") from e
            raise shared.in_progress("Another node has begun a rollout at the same time.") from e
        except Unavailable as e:
            shared.node.metrics.rollouts.labels("unreachable").inc()
            text = f"Nothing was changed: the engine of the fleet cannot be reached ({e})."
            raise Withheld(ReloadCode.FLEET_UNREACHABLE, text) from e
        await shared.wake()
        return Rollout(shared, proposed, sequence, attempt.clock.total, began)

    def _free(self, found: Found[Register]) -> Register:
        """Return the register if this node may propose now."""
        shared, register = self._shared, found.record
        if register is None and found.sequence == 0 and shared.name != DEFAULT_SET:
            register = Register()
        if register is None or register.version > VERSION:
            text = "Nothing was changed: the fleet has no register that this version can read (charhost fleet setup)."
            raise Withheld(ReloadCode.FLEET_UNREACHABLE, text)
        if self._begins and (register.committed is not None or register.proposed is not None):
            raise RolloutEnded("the fleet has begun already")
        if shared.is_held:
            text = "Nothing was changed: this node is held, and follows no rollout (charhost fleet hold --release)."
            raise Withheld(ReloadCode.ROLLOUT_IN_PROGRESS, text)
        if register.proposed is not None:
            raise shared.in_progress(f"Rollout {register.epoch} of {register.proposed.by} is under way.")
        if is_older(register, shared.change):
            text = f"Nothing was changed: the engine has an older set than the epoch {shared.epoch} that serves here"
            raise Withheld(ReloadCode.FLEET_UNREACHABLE, f"{text} (charhost fleet restore).")
        if not shared.has_followed(register):
            raise shared.in_progress("This node does not serve the set of the fleet yet.")
        return register

    def _proposal(self, attempt: Attempt, swap: Swap, epoch: int, root: str, members: tuple[str, ...]) -> Proposal:
        request, node = attempt.order.request, self._shared.node
        return Proposal(
            epoch=epoch,
            root=root,
            revision=swap.after.revision,
            directory=swap.after.directory,
            by=node.name,
            at=attempt.started_at,
            reason=request.reason,
            trigger=attempt.order.trigger,
            reload_id=attempt.reload_id,
            scope=request.scope,
            sessions=request.sessions,
            drain_seconds=request.drain_seconds,
            members=members,
            instance=node.instance,
            deadline=node.deadline,
            dry_run=request.dry_run,
        )


class Rollout:
    """One proposal of this node, from when it is in the register until all members serve it, or none."""

    def __init__(self, shared: SharedSet, proposed: Register, sequence: int, seconds: float, began: float) -> None:
        assert proposed.proposed is not None
        self.proposal = proposal = proposed.proposed
        self._shared = shared
        self._node = shared.node
        self._proposed = proposed
        self._sequence = sequence
        own = Vote(
            node=self._node.name, epoch=proposal.epoch, outcome="built", revision=proposal.revision, seconds=seconds
        )
        self._votes = {self._node.name: own}
        self._serving: set[str] = set()
        self._began = began
        self._looked = self._node.clock()
        self._names: set[str] = set(proposal.members)
        self.outcome: FleetOutcome | None = None

    async def decide(self) -> None:
        """Collect the votes and write the decision; raises `Withheld` if the set is not to serve."""
        with self._node.metrics.rollout.labels("vote").time():
            decision = await self._collect()
        with self._node.metrics.rollout.labels("commit").time():
            committed, why = await self._end(decision)
        if decision.agreed and self.proposal.dry_run:
            self._conclude("valid")
        elif committed:
            self._conclude("committed")
        else:
            self._conclude("aborted", why)
            raise Withheld(ReloadCode.FLEET_REFUSED, f"Nothing was changed on any node: {why}")

    async def confirm(self) -> None:
        """Wait for a while until all members serve the set, and keep its record for a rollback."""
        await self._node.wake("node")
        seen, ends = -1, self._node.clock() + _CONFIRM
        try:
            await self._keep()
            while not await self._all_serve() and (left := ends - self._node.clock()) > 0:
                seen = await self._node.statuses.wait(seen, min(left, _PATIENCE))
        except (Unavailable, Conflict) as e:
            log.warning("the nodes could not be asked whether they serve epoch %d: %s", self.proposal.epoch, e)
        self._conclude("committed")
        self._node.metrics.rollout.labels("all").observe(self._node.clock() - self._began)

    async def _collect(self) -> Decision:
        ends, seen = self._node.clock() + self.proposal.deadline, -1
        while True:
            is_over = self._node.clock() >= ends
            try:
                await self._read_votes()
                await self._look_around(is_over)
                if decision := decide(self.proposal, self._votes, self._names, is_over=is_over):
                    return decision
            except Unavailable as e:
                if is_over:
                    return Decision(agreed=False, why=f"the engine cannot be reached ({e}).")
            seen = await self._node.votes.wait(seen, min(_PATIENCE, max(ends - self._node.clock(), 0.01)))

    async def _read_votes(self) -> None:
        missing = [member for member in self.proposal.members if member not in self._votes]
        subjects = [vote_subject(self._shared.name, member) for member in missing]
        found = await asyncio.gather(*(self._node.records.read(subject, Vote) for subject in subjects))
        votes = {one.record.node: one.record for one in found if one.record is not None}
        self._votes |= {node: vote for node, vote in votes.items() if vote.epoch == self.proposal.epoch}

    async def _look_around(self, is_over: bool) -> None:
        """Find out which members are gone, now and then while votes are missing."""
        missing = set(self.proposal.members) - self._votes.keys()
        if missing and (is_over or self._node.clock() - self._looked >= _LOOK):
            self._names = set(self.proposal.members) - missing | await self._node.living(missing)
            self._looked = self._node.clock()

    async def _end(self, decision: Decision) -> tuple[bool, str | None]:
        """Write the decision; return whether the set was committed, and else why not."""
        commits = decision.agreed and not self.proposal.dry_run
        end = self._proposed.commit() if commits else self._proposed.abort(decision.why or "a dry run.")
        ends, seen = self._node.clock() + self.proposal.deadline, -1
        while True:
            try:
                sequence = await self._node.records.write(self._shared.subject, end, self._sequence)
                self._shared.found = Found(end, sequence, is_signed=True)
                await self._shared.wake()
                return commits, decision.why
            except Conflict:
                return await self._read_end()
            except Unavailable as e:
                if self._node.clock() >= ends:
                    raise self._unknown() from e
            seen = await self._shared.changed.wait(seen, _PATIENCE)

    async def _read_end(self) -> tuple[bool, str | None]:
        """Return how the rollout ended that was not ended here, or whose end was written without a response."""
        try:
            register = (await self._shared.read()).record
        except Unavailable as e:
            raise self._unknown() from e
        if register is not None and register.committed is not None and register.committed.epoch == self.proposal.epoch:
            return True, None
        if register is None or register.last is None or register.last.epoch != self.proposal.epoch:
            raise self._unknown()
        return False, register.last.why

    def _unknown(self) -> Withheld:
        self._conclude("unknown")
        text = (
            f"The engine of the fleet did not say whether epoch {self.proposal.epoch} is committed: look it up later."
        )
        return Withheld(ReloadCode.ROLLOUT_UNKNOWN, text)

    async def _keep(self) -> None:
        """Keep the record of the epoch, and drop the oldest."""
        name, records = self._shared.name, self._node.records
        await records.put(epoch_subject(name, self.proposal.epoch), self.proposal.change)
        for epoch in (await self._shared.epochs())[:-MOST_EPOCHS]:
            await records.drop(epoch_subject(name, epoch))
            self._node.untidy.set()

    async def _all_serve(self) -> bool:
        alive = await self._node.alive()
        sets = {node: status.sets.get(self._shared.name) for node, status in alive.items()}
        self._serving = {node for node, served in sets.items() if served and served.epoch >= self.proposal.epoch}
        return self._serving >= {node for node in self.proposal.members if node in alive}

    def _conclude(self, outcome: str, why: str | None = None) -> None:
        if self.outcome is None or self.outcome.outcome != outcome:
            self._node.metrics.rollouts.labels(outcome).inc()
        nodes = tuple(map(self._node_outcome, self.proposal.members))
        fields = {"epoch": self.proposal.epoch, "outcome": outcome, "why": why, "nodes": nodes}
        self.outcome = FleetOutcome.model_validate(fields)

    def _node_outcome(self, node: str) -> NodeOutcome:
        vote = self._votes.get(node)
        if vote is None:
            return NodeOutcome(node=node, state="silent")
        state = "serving" if node in self._serving or (node == self._node.name and self._serving) else vote.outcome
        return NodeOutcome(
            node=node, state=state, revision=vote.revision, seconds=vote.seconds, errors=vote.errors, why=vote.why
        )
