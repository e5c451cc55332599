"""The records of a fleet, and the decisions that follow from them; nothing here reads or writes."""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from pydantic import Field

from charhost.report import DEFAULT_SET, FileError, Frozen, PathText, Scope, SessionPolicy, Trigger

# A node that reads a register of a higher version serves on, and changes nothing.
VERSION = 1

Step = Literal["begin", "follow", "vote", "abort"]
ServedState = Literal["serving", "building", "failed", "behind", "drifted"]
NODE_STATES = (*get_args(ServedState), "leaving")


def register_subject(name: str) -> str:
    """Return the subject of the register of the set called *name*."""
    return "state.desired" if name == DEFAULT_SET else f"state.desired.{name}"


def vote_subject(name: str, node: str) -> str:
    return f"state.vote.{name}.{node}"


def epoch_subject(name: str, epoch: int) -> str:
    return f"state.epoch.{name}.{epoch}"


def node_subject(node: str) -> str:
    return f"state.node.{node}"


class Change(Frozen):
    """A set that a reload made at one node: its bytes are those of the blob `root`."""

    epoch: int
    root: str
    revision: str
    directory: PathText
    by: str
    at: str
    reason: str | None = None
    trigger: Trigger = "http"
    reload_id: str = ""
    scope: Scope = "changed"
    sessions: SessionPolicy | None = None
    drain_seconds: float | None = None


class Proposal(Change):
    """A change that all members are to build; `instance` is the process that coordinates it."""

    members: tuple[str, ...]
    instance: str
    deadline: float
    dry_run: bool = False

    @property
    def change(self) -> Change:
        return Change(**{name: getattr(self, name) for name in Change.model_fields})


class Ended(Frozen):
    """How the last rollout ended."""

    epoch: int
    outcome: Literal["committed", "aborted"]
    why: str | None = None


class Register(Frozen):
    """The set that all nodes are to serve, which was committed; `epoch` is the number of the last proposal."""

    version: int = VERSION
    epoch: int = 0
    committed: Change | None = None
    proposed: Proposal | None = None
    last: Ended | None = None
    removed: bool = False

    def propose(self, proposal: Proposal) -> "Register":
        return self.model_copy(update={"epoch": proposal.epoch, "proposed": proposal, "removed": False})

    def remove(self) -> "Register":
        """Return the register of a set that is served no longer."""
        return Register(version=self.version, epoch=self.epoch + 1, removed=True)

    def commit(self) -> "Register":
        assert self.proposed is not None
        ended = Ended(epoch=self.proposed.epoch, outcome="committed")
        return self.model_copy(update={"committed": self.proposed.change, "proposed": None, "last": ended})

    def abort(self, why: str) -> "Register":
        assert self.proposed is not None
        ended = Ended(epoch=self.proposed.epoch, outcome="aborted", why=why)
        return self.model_copy(update={"proposed": None, "last": ended})


class Vote(Frozen):
    """Whether a node could build a proposal: evidence, not a promise."""

    node: str
    epoch: int
    outcome: Literal["built", "failed"]
    revision: str = ""
    seconds: float = 0.0
    errors: tuple[FileError, ...] = ()
    why: str | None = None


class ServedSet(Frozen):
    """One set as a node serves it, and the reason if that is not the set of the register."""

    epoch: int
    revision: str
    state: ServedState
    error: str | None = None
    errors: tuple[FileError, ...] = ()


class NodeStatus(Frozen):
    """What a node says about itself, every few seconds."""

    node: str
    instance: str
    version: str
    python: str = ""
    url: str
    sessions: int
    leaving: bool = False
    sets: dict[str, ServedSet] = Field(default_factory=dict)

    @property
    def state(self) -> str:
        """The state of the default set, or that the node leaves."""
        default = self.sets.get(DEFAULT_SET)
        return "leaving" if self.leaving else default.state if default is not None else "building"


class Decision(Frozen):
    """Whether all members can serve a proposal; `why` is the sentence of an abort."""

    agreed: bool
    why: str | None = None


def decide(
    proposal: Proposal, votes: Mapping[str, Vote], alive: Collection[str], *, is_over: bool = False
) -> Decision | None:
    """Return the decision, or None while a member that is alive has not voted; *is_over*: the deadline has passed.

    Members that are not alive do not count. All others have to have built the same revision.
    """
    given = {node: vote for node, vote in votes.items() if node in proposal.members and vote.epoch == proposal.epoch}
    for node, vote in sorted(given.items()):
        if vote.outcome == "failed":
            return Decision(agreed=False, why=_failed(node, vote))
        if vote.revision != proposal.revision:
            return Decision(agreed=False, why=f"{node} has built another revision from the same bytes.")
    silent = [node for node in proposal.members if node not in given and node in alive]
    if silent:
        text = f"{', '.join(silent)} did not answer within {proposal.deadline:g} s."
        return Decision(agreed=False, why=text) if is_over else None
    return Decision(agreed=True)


def next_step(
    register: Register, node: str, instance: str, serving: Change | None, voted: Proposal | None
) -> Step | None:
    """Return the next step of the process *instance* of a node, which serves *serving* and last voted on *voted*."""
    if register.version > VERSION or register.removed:
        return None
    proposed, committed = register.proposed, register.committed
    if proposed is not None and proposed.by == node and proposed.instance != instance:
        return "abort"  # its coordinator was this node, before it was started again
    if committed is not None and not is_followed(committed, serving):
        return "follow"
    if proposed is not None and is_asked(proposed, node, instance, voted):
        return "vote"
    return "begin" if committed is None and proposed is None and serving is None else None


def is_followed(committed: Change, serving: Change | None) -> bool:
    """Return whether a node that serves *serving* need not follow: it never goes down in epoch.

    An engine that has lost its store may give a number to another set, which then counts.
    """
    if serving is None or serving.epoch < committed.epoch:
        return False
    return serving.epoch > committed.epoch or serving.revision == committed.revision


def is_asked(proposal: Proposal, node: str, instance: str, voted: Proposal | None) -> bool:
    """Return whether a node is to vote on a proposal; *voted* is the last one that it has voted on."""
    return proposal.instance != instance and node in proposal.members and proposal != voted


def is_older(register: Register, serving: Change | None) -> bool:
    """Return whether the engine has lost the set that this node serves."""
    return serving is not None and (register.committed.epoch if register.committed else 0) < serving.epoch


def _failed(node: str, vote: Vote) -> str:
    places = "; ".join(map(str, vote.errors)) or vote.why or "it cannot build the set"
    return f"{node}: {places}"
