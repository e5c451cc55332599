"""The names of the streams of a fleet, and what its nodes may do with them."""

from __future__ import annotations

import pytest

from charhost.fleet.engine.streams import LEAST_AGE, NANOSECONDS, Streams, kept_for

STREAMS = Streams("pirates")


def test_names_belong_to_the_fleet() -> None:
    """A subject and its stream have the name of the fleet, so that fleets can share a server."""
    assert (STREAMS.full("state.node.n1"), STREAMS.stream("state.node.n1")) == (
        "pirates.state.node.n1",
        "pirates_state",
    )


@pytest.mark.parametrize(("resume_ttl", "seconds"), [(0, LEAST_AGE), (60, LEAST_AGE), (7200, 14_400)])
def test_conversations_outlive_their_resumption(resume_ttl: float, seconds: float) -> None:
    """A message of a conversation is kept for twice the time in which it can be resumed, an hour at least."""
    assert kept_for(resume_ttl) == seconds
    ages = {one["name"]: one.get("max_age") for one in STREAMS.configurations(1, resume_ttl)}
    assert ages == {"pirates_state": None, "pirates_bytes": None, "pirates_talk": seconds * NANOSECONDS}


def test_streams_are_on_as_many_servers_as_asked_for() -> None:
    """Each stream has the replicas, and keeps what it has in files."""
    assert {(one["num_replicas"], one["storage"]) for one in STREAMS.configurations(3, 60)} == {(3, "file")}


def test_grants_name_no_other_fleet() -> None:
    """A node may publish and subscribe to its own fleet's subjects only, and to responses."""
    grants = STREAMS.grants()
    subjects = [*grants["publish"]["allow"], *grants["subscribe"]["allow"]]
    assert [one for one in subjects if "pirates" not in one] == ["_INBOX.>"]
    assert not any("DELETE" in one for one in subjects)
