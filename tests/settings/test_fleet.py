"""The settings of a fleet."""

from __future__ import annotations

import pytest

from charhost.settings import Settings
from tests.settings.helpers import refusal

KEY = "a key of sixteen characters"


def test_fleet_needs_a_key() -> None:
    """All nodes sign with the same key, so there is none by default."""
    assert "needs the same CHARHOST_FLEET_KEY on every node" in refusal(fleet="nats://127.0.0.1:4222")


def test_servers_are_separated_by_commas() -> None:
    """Spaces and empty parts do not count; without a fleet there is no server."""
    settings = Settings(fleet=" nats://a:4222 ,,nats://b:4222", fleet_key=KEY)
    assert settings.fleet_servers == ("nats://a:4222", "nats://b:4222")
    assert Settings().fleet_servers == ()


@pytest.mark.parametrize("name", ["", "a.b", "a b", "é", "a" * 65])
def test_name_that_no_subject_may_have_is_refused(name: str) -> None:
    """The names of a fleet and of its nodes are parts of the engine's subjects."""
    assert "expected up to 64 letters, digits, - and _" in refusal(fleet_name=name)


def test_node_is_called_after_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name of its own a node has that of its machine and the port, in letters that a subject may have."""
    monkeypatch.setattr("socket.gethostname", lambda: "host.example")
    assert Settings().node_name(8001) == "host-example-8001"
    assert Settings(fleet_node="n1").node_name(8001) == "n1"
