"""What a node shows of its fleet: metrics, health, and the state of the others."""

from __future__ import annotations

import asyncio
from typing import Any

from typer.testing import CliRunner

from charhost.cli import app
from charhost.fleet.engine.memory import MemoryStore
from charhost.fleet.record import NodeStatus, node_subject
from charhost.fleet.signature import Signature
from charhost.web.keys import FLEET, METRICS
from tests.conftest import Client
from tests.fleet.cluster import eventually
from tests.fleet.nodes import Node, nodes, options, store

__all__ = ["nodes", "options", "store"]


def value(client: Client, name: str, **labels: str) -> float | None:
    """Return the value of a metric of the fleet."""
    assert client.app is not None
    return client.app[METRICS].registry.get_sample_value(f"charhost_fleet_{name}", labels)


async def json_at(client: Client, path: str) -> Any:
    return await (await client.get(path)).json()


async def test_each_stage_of_a_rollout_is_timed(nodes: list[Node]) -> None:
    """The node that was asked has the time of the upload, the votes, the decision and the whole."""
    one, other = nodes
    before = {stage: _count(one.client, stage) for stage in ("upload", "vote", "commit", "all")}
    await one.client.post("/v1/characters/reload", json={})
    assert {stage: _count(one.client, stage) - seen for stage, seen in before.items()} == dict.fromkeys(before, 1)
    assert _count(other.client, "vote") == 0


async def test_a_change_that_no_hint_announced_is_drift(nodes: list[Node]) -> None:
    """The reading of the register that finds it is counted: the engine may be deaf."""
    one, other = nodes
    await one.client.post("/v1/characters/reload", json={})
    assert value(other.client, "reconciles_total", result="hinted")
    before = value(other.client, "reconciles_total", result="drift") or 0
    other.engine.hears = False
    assert other.client.app is not None
    fleet = other.client.app[FLEET].fleet
    assert fleet is not None
    fleet.node.reconcile = 0.05
    fleet.node.registers.notify()  # out of the long wait
    await one.client.post("/v1/characters/reload", json={})
    await eventually(lambda: (value(other.client, "reconciles_total", result="drift") or 0) > before)


async def test_failed_requests_and_refused_conditions_are_counted(nodes: list[Node], store: MemoryStore) -> None:
    """Each has the operation, or the kind."""
    one, _ = nodes
    store.append("state.node.n1", b"of another process", store.messages("state.node.n1")[-1].sequence, None)
    await eventually(lambda: value(one.client, "condition_refusals_total", kind="other"))
    one.engine.cut()
    refused = await one.client.post("/v1/characters/reload", json={})
    assert refused.status == 503
    assert value(one.client, "engine_errors_total", operation="read")


async def test_health_has_the_state_of_the_engine(nodes: list[Node]) -> None:
    """It is up or down; a server in no fleet has no such field."""
    one, _ = nodes
    assert (await json_at(one.client, "/v1/health"))["fleet"] == "up"
    one.engine.cut()
    assert one.client.app is not None
    membership = one.client.app[FLEET]
    assert membership.fleet is not None
    membership.fleet.node.registers.notify()
    await eventually(lambda: membership.state == "down")
    assert (await json_at(one.client, "/v1/health"))["fleet"] == "down"


async def test_the_state_of_each_node_is_counted_and_shown(nodes: list[Node]) -> None:
    """A node shows the others by their last status, and how old that is; the command prints the same."""
    one, _ = nodes
    found = await json_at(one.client, "/v1/fleet")
    assert [(node["node"], node["sets"]["default"]["state"]) for node in found["nodes"]] == [
        ("n1", "serving"),
        ("n2", "serving"),
    ]
    assert all(node["seen"] is not None and node["python"] for node in found["nodes"])
    await one.client.post("/v1/characters/reload", json={"reason": "new words"})
    assert value(one.client, "nodes", state="serving") == 2
    line = ["fleet", "--url", str(one.client.make_url("")).rstrip("/")]
    shown = await asyncio.to_thread(CliRunner().invoke, app, line)
    assert shown.exit_code == 0, shown.output
    assert "default: epoch 2 since 20" in shown.output
    assert "by n1 (new words)" in shown.output


async def test_a_status_of_another_key_is_no_node(nodes: list[Node], store: MemoryStore) -> None:
    """A status that was written without the key is neither shown nor a member of a rollout, and is counted."""
    one, _ = nodes
    status = NodeStatus(node="n9", instance="a", version="1", url="http://192.0.2.1", sessions=0)
    subject = node_subject("n9")
    forged = Signature("another key of a fleet", "charhost").sign(subject, status.model_dump_json().encode())
    store.append(subject, forged, 0, None)
    assert [node["node"] for node in (await json_at(one.client, "/v1/fleet"))["nodes"]] == ["n1", "n2"]
    report = await (await one.client.post("/v1/characters/reload", json={})).json()
    assert [node["node"] for node in report["fleet"]["nodes"]] == ["n1", "n2"]
    assert value(one.client, "bad_signatures_total")


def _count(client: Client, stage: str) -> float:
    return value(client, "rollout_seconds_count", stage=stage) or 0
