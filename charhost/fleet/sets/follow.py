"""Follower: the part of a node in proposals of others, and in sets that were committed."""

import asyncio
import logging
import os
from dataclasses import dataclass

from charhost.errors import NotAttempted, ReloadRejected, RolloutEnded, Stopping
from charhost.fleet.engine.engine import Conflict, Unavailable
from charhost.fleet.record import Change, Proposal, Step, Vote, is_followed, vote_subject
from charhost.fleet.sets.pack import DamagedSet
from charhost.fleet.sets.rollout import Coordinator
from charhost.fleet.sets.shared_set import SharedSet
from charhost.loading.stored_set import StoredSet
from charhost.reload.attempt import Attempt
from charhost.reload.request import ReloadRequest
from charhost.reload.swap import Swap
from charhost.report import Scope
from charhost.text import display

log = logging.getLogger("charhost.fleet")

# Seconds that a vote is kept.
_VOTE_TTL = 60


class DataMissing(DamagedSet):
    """A set needs data files that this node does not have."""


class Follower:
    """Takes one step after the other for a set, as its register asks for them."""

    def __init__(self, shared: SharedSet) -> None:
        self.shared = shared
        self._working: asyncio.Task[None] | None = None

    def work(self) -> None:
        """Begin with the next step, unless one is under way."""
        if self.shared.step is not None and (self._working is None or self._working.done()):
            self._working = asyncio.create_task(self._work())

    async def stop(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    async def _work(self) -> None:
        while (step := self.shared.step) is not None:
            try:
                await self._take(step)
            except (Unavailable, Conflict):
                return  # the next look begins again
            except Stopping:
                return
            except NotAttempted as e:
                log.info("the fleet's set %s: %s", self.shared.name, e)
                await self.shared.read()
            except Exception:
                log.exception("the fleet's set %s met an unexpected error", self.shared.name)
                return

    async def _take(self, step: Step) -> None:
        shared = self.shared
        register = shared.register
        match step:
            case "begin":
                await self._begin()
            case "abort":
                await shared.abort("its coordinator was started again.")
            case "follow" if register is not None and register.committed is not None:
                await self._follow(register.committed)
            case "vote" if register is not None and register.proposed is not None:
                await self._vote(register.proposed)

    async def _begin(self) -> None:
        """Propose the directory of this node as the first set of the fleet."""
        shared = self.shared
        try:
            await shared.manager.reload_characters(
                ReloadRequest(directory="default"), trigger="startup", consent=Coordinator(shared, begins=True)
            )
        except ReloadRejected as e:
            shared.fails(0, e)

    async def _follow(self, change: Change) -> None:
        shared = self.shared
        try:
            stored = await self._fetch(change)
            request = _request(change, "changed")
            await shared.manager.reload_characters(request, stored, trigger="fleet", consent=_Committed(shared, change))
        except (DamagedSet, ReloadRejected) as e:
            shared.fails(change.epoch, e)

    async def _vote(self, proposal: Proposal) -> None:
        shared = self.shared
        shared.votes_on(proposal)
        voter = _Voter(shared, proposal)
        try:
            stored = await self._fetch(proposal)
            request = _request(proposal, proposal.scope, dry_run=proposal.dry_run)
            await shared.manager.reload_characters(request, stored, trigger="fleet", consent=voter)
        except DamagedSet as e:
            await voter.vote("failed", why=str(e))
        except ReloadRejected as e:
            await voter.vote("failed", e, why=e.detail)

    async def _fetch(self, change: Change) -> StoredSet:
        """Return the set of a change of another node; raises `DamagedSet` and `Unavailable`."""
        stored = await self.shared.fetch(change.root, change.epoch)
        await asyncio.to_thread(_check_data, stored)
        return stored


@dataclass(frozen=True)
class _Committed:
    """Lets a set serve that was committed, unless another one has come meanwhile."""

    shared: SharedSet
    change: Change

    async def ask(self, attempt: Attempt, swap: Swap) -> int:
        if is_followed(self.change, self.shared.change):
            raise RolloutEnded(f"epoch {self.change.epoch} came too late: {self.shared.epoch} serves")
        return self.change.epoch

    async def confirm(self, attempt: Attempt) -> None:
        self.shared.serves(self.change)


class _Voter:
    """Votes that a set was built, and lets it serve once it is committed."""

    def __init__(self, shared: SharedSet, proposal: Proposal) -> None:
        self._shared = shared
        self._proposal = proposal
        self._began = shared.node.clock()

    async def ask(self, attempt: Attempt, swap: Swap) -> int:
        await self.vote("built", revision=swap.after.revision)
        await self._until_committed()
        return self._proposal.epoch

    async def confirm(self, attempt: Attempt) -> None:
        self._shared.serves(self._proposal.change)

    async def vote(
        self, outcome: str, error: ReloadRejected | None = None, *, revision: str = "", why: str | None = None
    ) -> None:
        """Write the vote, and wake the coordinator."""
        node = self._shared.node
        vote = Vote.model_validate(
            {
                "node": node.name,
                "epoch": self._proposal.epoch,
                "outcome": outcome,
                "revision": revision,
                "seconds": round(node.clock() - self._began, 6),
                "errors": error.report.errors if error is not None else (),
                "why": why,
            }
        )
        await node.records.put(vote_subject(self._shared.name, node.name), vote, _VOTE_TTL)
        await node.wake("vote")

    async def _until_committed(self) -> None:
        """Wait for the decision; raise `RolloutEnded` if it is another one, or takes too long."""
        shared, epoch = self._shared, self._proposal.epoch
        seen, ends = -1, self._began + self._proposal.deadline + shared.node.doubt
        while (left := ends - shared.node.clock()) > 0:
            register = shared.register
            if register is not None and register.committed is not None and register.committed.epoch == epoch:
                return
            if register is not None and (register.proposed is None or register.proposed.epoch != epoch):
                why = register.last.why if register.last is not None and register.last.epoch == epoch else None
                raise RolloutEnded(f"rollout {epoch} was not committed: {why or 'another one has come'}")
            seen = await shared.changed.wait(seen, left)
        raise RolloutEnded(f"rollout {epoch} is in doubt for too long")


def _request(change: Change, scope: Scope, *, dry_run: bool = False) -> ReloadRequest:
    return ReloadRequest(
        scope=scope,
        sessions=change.sessions,
        drain_seconds=change.drain_seconds,
        on_error="abort",
        dry_run=dry_run,
        reason=change.reason,
    )


def _check_data(stored: StoredSet) -> None:
    """Raise `DataMissing` for the first data file of a set that is missing at this node."""
    for location, file in sorted(stored.needs.items()):
        if not os.path.isfile(location):
            text = f"{display(file)} opens {display(location)} while it is loaded, and there is no such file"
            raise DataMissing(f"{text}: data files do not travel")
