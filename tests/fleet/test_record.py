"""The decisions of a fleet, for any records."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from charhost.fleet.record import Change, Proposal, Register, Vote, decide, is_older, next_step
from charhost.report import FileError

NODES = ("n1", "n2", "n3")
FIELDS: Any = {"root": "c1", "revision": "sha256:1", "directory": "/characters", "by": "n1", "at": "now"}
PROPOSAL = Proposal(epoch=2, members=NODES, instance="i1", deadline=10, **FIELDS)
COMMITTED = Register(epoch=1, committed=Change(epoch=1, **FIELDS))
ERROR = FileError(file="ada.py", line=9, error_type="RuntimeError", exception="RuntimeError", message="no GPU here")

votes = st.builds(
    Vote,
    node=st.sampled_from(NODES),
    epoch=st.integers(1, 3),
    outcome=st.sampled_from(["built", "failed"]),
    revision=st.sampled_from(["sha256:1", "sha256:2"]),
)


def built(*nodes: str, **fields: Any) -> dict[str, Vote]:
    """Return votes for the proposal."""
    return {node: Vote(node=node, epoch=2, outcome="built", revision="sha256:1", **fields) for node in nodes}


@given(st.lists(votes, max_size=5), st.frozensets(st.sampled_from(NODES)), st.booleans())
def test_only_what_all_living_members_have_built_is_committed(
    cast: list[Vote], alive: frozenset[str], is_over: bool
) -> None:
    """Whatever was voted: a commit means that every member that is alive built that revision."""
    given_votes = {vote.node: vote for vote in cast}
    decision = decide(PROPOSAL, given_votes, alive, is_over=is_over)
    yes = {node for node, vote in given_votes.items() if (vote.epoch, vote.outcome) == (2, "built")}
    if decision is not None and decision.agreed:
        assert yes >= alive
        assert all(given_votes[node].revision == "sha256:1" for node in yes)
    assert decision is not None or not is_over


def test_a_failed_vote_aborts_at_once_with_node_file_and_line() -> None:
    """The sentence of the abort has the error of the node, whoever else is still silent."""
    failed = Vote(node="n2", epoch=2, outcome="failed", errors=(ERROR,))
    decision = decide(PROPOSAL, {"n2": failed}, NODES)
    assert decision is not None
    assert decision.why == "n2: ada.py:9: RuntimeError: no GPU here"


def test_a_silent_member_aborts_at_the_deadline_unless_it_is_gone() -> None:
    """A member that is alive and silent aborts; one whose status has ended does not count."""
    assert decide(PROPOSAL, built("n1", "n2"), NODES) is None
    late = decide(PROPOSAL, built("n1", "n2"), NODES, is_over=True)
    assert late is not None
    assert late.why == "n3 did not answer within 10 s."
    gone = decide(PROPOSAL, built("n1", "n2"), ("n1", "n2"))
    assert gone is not None
    assert gone.agreed


def test_the_step_of_a_node_follows_from_the_register() -> None:
    """It follows what was committed, votes once, aborts what it left behind, and begins an empty fleet."""
    proposed, serving = COMMITTED.propose(PROPOSAL), COMMITTED.committed
    assert next_step(Register(), "n1", "i1", None, None) == "begin"
    assert next_step(COMMITTED, "n2", "i2", None, None) == "follow"
    assert next_step(COMMITTED, "n2", "i2", serving, None) is None
    assert next_step(proposed, "n2", "i2", serving, None) == "vote"
    assert next_step(proposed, "n2", "i2", serving, PROPOSAL) is None
    assert next_step(proposed, "n1", "i1", serving, None) is None
    assert next_step(proposed, "n1", "restarted", serving, None) == "abort"
    assert next_step(proposed, "late", "i4", serving, None) is None
    assert next_step(proposed.model_copy(update={"version": 2}), "n2", "i2", None, None) is None


def test_a_node_goes_down_in_no_epoch_but_follows_another_set_of_the_same() -> None:
    """An engine that has lost its store is not followed backwards; a number that it gave anew is."""
    later = PROPOSAL.change
    assert next_step(COMMITTED, "n2", "i2", later, None) is None
    assert is_older(COMMITTED, later)
    other = COMMITTED.model_copy(update={"committed": later.model_copy(update={"revision": "sha256:2"})})
    assert next_step(other, "n2", "i2", later, None) == "follow"


@given(st.lists(st.sampled_from(["propose", "commit", "abort"]), max_size=20))
def test_epochs_never_fall(changes: list[str]) -> None:
    """Whatever becomes of proposals: each has a higher number than all before, and so has what is committed."""
    register = COMMITTED
    for change in changes:
        before = register
        if change == "propose" and register.proposed is None:
            register = register.propose(PROPOSAL.model_copy(update={"epoch": register.epoch + 1}))
            assert register.epoch == before.epoch + 1
        elif change != "propose" and register.proposed is not None:
            register = register.commit() if change == "commit" else register.abort("no")
        assert register.committed is not None
        assert before.committed is not None
        assert not is_older(register, before.committed)
        assert register.epoch >= register.committed.epoch


def test_a_register_is_read_back_from_its_json() -> None:
    """All fields survive the way through the engine, in the same types."""
    register = COMMITTED.propose(PROPOSAL).abort("n2: no").propose(PROPOSAL)
    assert Register.model_validate_json(register.model_dump_json()) == register
