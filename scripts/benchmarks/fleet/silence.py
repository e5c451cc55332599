"""Silence after faults: how long until all nodes serve the next reload, and the longest turn of a client meanwhile."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import aiohttp

from scripts.benchmarks.fleet.nats_server import cluster, leader
from scripts.benchmarks.fleet.nodes import Node, Nodes, nodes
from scripts.benchmarks.fleet.talking import turn, until
from scripts.benchmarks.measure import character_source, generate, print_table, spread
from scripts.benchmarks.processes import free_port, python

_NAMES = ("n1", "n2", "n3")
_AWAY = 3.0  # seconds that what comes back was away
_edits = count()


class Fault(NamedTuple):
    """What happens, and its function, which returns the seconds until all nodes serve the next reload."""

    text: str
    happen: Callable[[Nodes], Awaitable[float]]


async def measure_silence(home: Path, runs: int) -> None:
    async with _fleet(home / "one") as made:
        rows = [await _row(made, fault, runs) for fault in _FAULTS]
    for run in range(runs):
        async with _fleet(home / f"cluster{run}", engines=3) as made:
            rows.append(await _row(made, Fault("the leader of three engines is killed", _kill_the_leader), 1))
    print_table(["fault", "until all serve the next reload, s", "longest turn of a client, s"], rows)


async def _row(made: Nodes, fault: Fault, runs: int) -> list[str]:
    silences, turns = [], []
    for _ in range(runs):
        async with _talker(made.named["n2"]) as longest:
            silences.append(await fault.happen(made))
        turns += longest
        for node in made.all:
            if node.process is None:
                await node.start()
        await made.equal()
    return [fault.text, spread(silences), spread(turns)]


async def _kill(made: Nodes) -> float:
    await made.named["n3"].stop(signal.SIGKILL)
    return await _reloaded(made, "n1")


async def _end(made: Nodes) -> float:
    await made.named["n3"].stop()
    return await _reloaded(made, "n1")


async def _start(made: Nodes) -> float:
    await made.named["n3"].stop()
    started = time.perf_counter()
    await made.named["n3"].start()
    await made.equal()
    return time.perf_counter() - started


async def _pause(made: Nodes) -> float:
    async with made.named["n3"].paused():
        reloading = asyncio.create_task(made.named["n1"].reload(scope="changed", sessions="follow"))
        await asyncio.sleep(_AWAY)
    return await _ended(made, reloading)


async def _kill_the_coordinator(made: Nodes) -> float:
    n1, n2, n3 = made.all
    async with n3.paused():
        _edit(made)
        reloading = asyncio.create_task(n1.reload(scope="changed", sessions="follow"))
        while (await n2.get("/v1/fleet"))["sets"][0]["register"]["proposed"] is None:
            await asyncio.sleep(0.01)
        await n1.stop(signal.SIGKILL)
    with suppress(aiohttp.ClientError):
        await reloading
    return await _reloaded(made, "n2")


async def _cut(made: Nodes) -> float:
    made.named["n3"].line.cut()
    return await _reloaded(made, "n1")


async def _stall(made: Nodes) -> float:
    _edit(made)
    made.named["n3"].line.stall()
    reloading = asyncio.create_task(made.named["n1"].reload(scope="changed", sessions="follow"))
    await asyncio.sleep(_AWAY)
    made.named["n3"].line.go_on()
    return await _ended(made, reloading)


async def _stall_for_long(made: Nodes) -> float:
    made.named["n3"].line.stall()
    _edit(made)
    await _until_applied(made.named["n1"])
    made.named["n3"].line.go_on()
    started = time.perf_counter()
    await made.equal()
    return time.perf_counter() - started


async def _kill_the_engine(made: Nodes) -> float:
    made.engines[0].kill()
    await asyncio.sleep(_AWAY)
    made.engines[0].start()
    return await _reloaded(made, "n1")


async def _pause_the_engine(made: Nodes) -> float:
    made.engines[0].pause()
    await asyncio.sleep(_AWAY)
    made.engines[0].go_on()
    return await _reloaded(made, "n1")


async def _lose_the_store(made: Nodes) -> float:
    made.engines[0].kill()
    made.engines[0].lose()
    made.engines[0].start()
    return await _reloaded(made, "n1")


async def _kill_the_leader(made: Nodes) -> float:
    (await leader(made.engines, "charhost_state")).kill()
    return await _reloaded(made, "n1")


_FAULTS = (
    Fault("a node ends", _end),
    Fault("a node starts", _start),
    Fault("a node is killed", _kill),
    Fault("the coordinator is killed with its proposal out", _kill_the_coordinator),
    Fault(f"a node is paused for {_AWAY:g} s during a rollout", _pause),
    Fault("the line of a node is cut, and can be made again", _cut),
    Fault(f"the line of a node stalls for {_AWAY:g} s during a rollout", _stall),
    Fault("the line of a node stalls until the others go on without it", _stall_for_long),
    Fault(f"the engine is killed, and is back after {_AWAY:g} s", _kill_the_engine),
    Fault(f"the engine is paused for {_AWAY:g} s", _pause_the_engine),
    Fault("the engine loses its store", _lose_the_store),
)


async def _reloaded(made: Nodes, name: str) -> float:
    """Return the seconds until a reload that is asked for at a node, again and again, is served by all."""
    started = time.perf_counter()
    _edit(made)
    await _until_applied(made.named[name])
    await made.equal()
    return time.perf_counter() - started


async def _ended(made: Nodes, reloading: asyncio.Task[tuple[int, object]]) -> float:
    started = time.perf_counter()
    await reloading
    await _until_applied(made.named["n1"])
    await made.equal()
    return time.perf_counter() - started


async def _until_applied(node: Node) -> None:
    while (await node.reload(scope="changed", sessions="follow"))[0] != 200:
        await asyncio.sleep(0.02)


def _edit(made: Nodes) -> None:
    (made.directory / "c00000.py").write_text(character_source(0, f"Fault {next(_edits)}."))


@asynccontextmanager
async def _talker(node: Node) -> AsyncIterator[list[float]]:
    """Have a client talk during the block; in the end the list has the seconds of its longest turn."""
    longest = [0.0]
    async with node.connect() as socket:
        await until(socket, "session.created")

        is_over = asyncio.Event()

        async def talk() -> None:
            while not is_over.is_set():
                longest[0] = max(longest[0], await turn(socket) / 1000)

        talking = asyncio.create_task(talk())
        yield longest
        is_over.set()
        await talking


@asynccontextmanager
async def _fleet(home: Path, engines: int = 1) -> AsyncIterator[Nodes]:
    """Run three nodes, each behind a proxy if there is one engine."""
    model = free_port()
    environment = {"CHARHOST_LLM_URL": f"http://127.0.0.1:{model}/v1", "CHARHOST_LLM_MODEL": "m"}
    servers = cluster(home / "nats", syncs=True) if engines > 1 else None
    async with (
        python("-m", "scripts.benchmarks.streaming", str(model), "20", "0.01", port=model),
        nodes(home, generate(home / "characters", 10), servers, **environment) as made,
    ):
        for name in _NAMES:
            await made.add(name, has_proxy=servers is None)
        yield made
