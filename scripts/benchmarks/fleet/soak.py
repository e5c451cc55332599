"""Kill, pause and cut the parts of a fleet at random under talking clients and reloads, and check that nothing is lost.

Three servers with fifty clients, a reload every two seconds, one nats-server, and a proxy on each line to it. Each
round has one fault, after which all clients come back, to any node, and look for their last turns. What a
`response.done` has acknowledged is never missing, a generation is one set at all nodes, and in the end there is no
task, descriptor, subscription or consumer more than at the start.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from scripts.benchmarks.fleet.clients import Talker
from scripts.benchmarks.fleet.faults import Faults
from scripts.benchmarks.fleet.inventory import Inventory
from scripts.benchmarks.fleet.nats_server import NatsServer
from scripts.benchmarks.fleet.nodes import nodes
from scripts.benchmarks.fleet.witness import Broken, Witness
from scripts.benchmarks.measure import character_source, generate, print_table
from scripts.benchmarks.processes import free_port

_NAMES = ("n1", "n2", "n3")
_CHARACTERS = 5
_RELOADS = 2.0
_LOOKS = 0.1
_POLICIES = ("close", "follow", "keep")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(runs=200)
    parser.add_argument("--clients", type=int, default=50, help="clients that talk (default: 50)")
    parser.add_argument("--seed", type=int, default=None, help="repeat the same faults")


async def measure(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as home:
        await soak(Path(home), arguments.runs, arguments.clients, random.Random(arguments.seed))


async def soak(home: Path, rounds: int, clients: int, chance: random.Random) -> None:
    """Run all rounds; raises `Broken`."""
    monitor = free_port()
    engine = NatsServer(home / "nats", f"http: '127.0.0.1:{monitor}'", syncs=True)
    async with nodes(home, generate(home / "characters", _CHARACTERS), [engine]) as made:
        for name in _NAMES:
            await made.add(name, "--resume-ttl", "3600", has_proxy=True, is_probed=True)
        witness, inventory = Witness(made), Inventory(made, monitor)
        talkers = [Talker(witness, chance) for _ in range(clients)]
        # So the first inventory has all that a node makes once.
        await _under_load(witness, talkers, chance, asyncio.sleep(5))
        before = await inventory.settled()
        faults = Faults(witness, chance)
        await _under_load(witness, talkers, chance, _all_rounds(faults, talkers, rounds))
        await made.equal()
        for talker in talkers:
            await talker.check_all()
        state = (await made.all[0].get("/v1/fleet"))["sets"][0]
        witness.check_rollouts(state["rollouts"], state["register"]["committed"])
        await inventory.settled(before)
    print_table(["count", ""], [[name, f"{count:,}"] for name, count in sorted(witness.counts.items())])
    print(f"Nodes that nothing disturbed differed for {witness.skew:.2f} s at the longest.")


async def _all_rounds(faults: Faults, talkers: list[Talker], rounds: int) -> None:
    for number in range(1, rounds + 1):
        began = time.monotonic()
        fault = await faults.round()
        await asyncio.gather(*(talker.returned() for talker in talkers))
        print(f"round {number}: {fault}, {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


async def _under_load(witness: Witness, talkers: list[Talker], chance: random.Random, work: Any) -> None:
    """Have the clients talk and the characters reloaded while *work* runs; raises what any of them meets."""
    async with asyncio.TaskGroup() as tasks:
        load = [tasks.create_task(talker.run()) for talker in talkers]
        load += [tasks.create_task(_reload(witness, chance)), tasks.create_task(_look(witness))]
        await work
        for task in load:
            task.cancel()


async def _reload(witness: Witness, chance: random.Random) -> None:
    """Edit a character and have a node reload it, every few seconds."""
    made, began = witness.made, time.monotonic()
    while True:
        number = chance.randrange(_CHARACTERS)
        edit = f"Edit {chance.randrange(10**9)}."
        (made.directory / f"c{number:05d}.py").write_text(character_source(number, edit))
        try:
            async with asyncio.timeout(60):
                status, report = await chance.choice(made.all).reload(
                    scope="changed", sessions=chance.choice(_POLICIES)
                )
        except (aiohttp.ClientError, TimeoutError):
            witness.counts["reloads without a response"] += 1
        else:
            if status == 200 and report["outcome"] == "applied":
                await witness.reloaded(report)
            else:
                witness.counts[f"reloads: {report.get('code', report.get('outcome'))}"] += 1
            if status == 500:
                raise Broken(f"a reload failed: {report}")
        began = max(began + _RELOADS, time.monotonic())
        await asyncio.sleep(began - time.monotonic())


async def _look(witness: Witness) -> None:
    """Compare what all nodes serve, again and again."""
    while True:
        found = await asyncio.gather(*map(witness.look, witness.made.all))
        witness.compare({node: one for node, one in zip(witness.made.all, found, strict=True) if one is not None})
        await asyncio.sleep(_LOOKS)
