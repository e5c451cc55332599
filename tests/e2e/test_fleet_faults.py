"""Rollouts over real processes, one of which is killed or paused before each of its requests to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from scripts.benchmarks.fleet.nats_server import NatsServer, cluster, leader
from scripts.benchmarks.fleet.nodes import Node, Nodes, nodes
from tests.conftest import character

pytestmark = pytest.mark.slow

# More requests than a rollout has.
MOST = 60


@dataclass
class Trap:
    """Has something happen to a node before its next request but *left*, which passes only afterwards."""

    node: Node
    left: int
    happen: Callable[[Node], Coroutine[Any, Any, None]]
    is_sprung: bool = False
    has_happened: asyncio.Event = field(default_factory=asyncio.Event)

    async def before(self, data: bytes) -> None:
        # A status is written now and then, and is no part of a rollout.
        self.left -= data.count(b"PUB charhost.") + data.count(b"PUB $JS.") - data.count(b"PUB charhost.state.node.")
        if self.left < 0 and not self.is_sprung:
            self.is_sprung = True
            await self.happen(self.node)
            self.has_happened.set()


async def kill(node: Node) -> None:
    assert node.process is not None
    node.process.kill()
    await node.process.wait()


async def pause(node: Node) -> None:
    async with node.paused():
        await asyncio.sleep(0.5)


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Nodes]:
    """Three nodes, each with a proxy between it and the engine."""
    async with nodes(tmp_path, directory(tmp_path)) as made:
        for name in ("n1", "n2", "n3"):
            await made.add(name, "--fleet-deadline", "5", has_proxy=True)
        yield made


def directory(home: Path) -> Path:
    (home / "characters").mkdir()
    (home / "characters" / "ada.py").write_text(character("Ada"))
    return home / "characters"


async def reloaded(made: Nodes, text: str, asked: Node) -> bool:
    """Save a character, and return whether a reload of it was acknowledged."""
    (made.directory / "ada.py").write_text(character("Ada", text))
    with suppress(aiohttp.ClientError):
        status, report = await asked.reload(scope="changed")
        return status == 200 and report["outcome"] == "applied"
    return False


@pytest.mark.parametrize("happen", [kill, pause])
@pytest.mark.parametrize("name", ["n1", "n3"])
async def test_a_fault_at_any_request_of_a_rollout_leaves_all_or_none(
    made: Nodes, name: str, happen: Callable[[Node], Coroutine[Any, Any, None]]
) -> None:
    """The coordinator (n1) or a follower: whatever was sent, all nodes end equal, with what was acknowledged."""
    node, acknowledged = made.named[name], 0
    for left in range(MOST):
        before = await made.named["n2"].served()
        trap = Trap(node, left, happen)
        node.line.before = trap.before
        done = await reloaded(made, f"Before request {left}.", made.named["n1"])
        node.line.before = None
        if trap.is_sprung:
            await trap.has_happened.wait()
        if node.process is None or node.process.returncode is not None:
            await node.stop()
            await node.start()
        await made.equal()
        after = await made.named["n2"].served()
        assert after[0] >= before[0]
        assert after != before or not done
        acknowledged += done
        if not trap.is_sprung:
            break
    assert not trap.is_sprung
    assert acknowledged >= 1


async def test_a_cluster_without_its_leader_or_a_minority_goes_on(tmp_path: Path) -> None:
    """With three engines one may be killed, also the leader, or be cut off: reloads go on, and all nodes are equal."""
    engines = cluster(tmp_path / "nats")
    async with nodes(tmp_path, directory(tmp_path), engines) as made:
        for name in ("n1", "n2", "n3"):
            await made.add(name)
        assert await reloaded(made, "With three.", made.named["n1"])
        first = await leader(engines, "charhost_state")
        first.kill()
        await _until_reloaded(made, "Without the leader.")
        first.start()
        await _until_reloaded(made, "With three again.")
        minority = await _follower(engines)
        minority.pause()
        await _until_reloaded(made, "Without a minority.")
        minority.go_on()
        await _until_reloaded(made, "With all.")


async def _follower(engines: list[NatsServer]) -> NatsServer:
    first = await leader(engines, "charhost_state")
    return next(engine for engine in engines if engine is not first)


async def _until_reloaded(made: Nodes, text: str) -> None:
    async with asyncio.timeout(120):
        while not await reloaded(made, text, made.named["n2"]):
            text += "."
            await asyncio.sleep(0.1)
    await made.equal()
