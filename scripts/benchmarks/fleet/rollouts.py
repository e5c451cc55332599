"""Duration of what a fleet of three servers does, beside one server without a fleet, and its silence after faults.

All are processes on this machine, with one nats-server that writes through to the disk (`sync_interval: always`). A set
serves when a client is sent the close frame of the reload.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import aiohttp

from scripts.benchmarks.fleet.nodes import Node, Nodes, nodes
from scripts.benchmarks.fleet.silence import measure_silence
from scripts.benchmarks.fleet.talking import turn, until
from scripts.benchmarks.measure import character_source, generate
from scripts.benchmarks.processes import free_port, python
from scripts.benchmarks.row import Goal, Rows

_NAMES = ("n1", "n2", "n3")
_PAUSE = 0.4  # seconds between reloads: the old set is freed meanwhile
_TURNS = 20
_edits = count()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", default="10,100,1000", help="numbers of characters (default: 10,100,1000)")
    parser.add_argument("--faults", type=int, default=1, help="number of measurements per fault (default: 1)")


async def measure(arguments: argparse.Namespace) -> None:
    rows = Rows()
    with tempfile.TemporaryDirectory() as home:
        for size in map(int, arguments.counts.split(",")):
            await _add_reload_rows(rows, Path(home) / str(size), size, arguments.runs)
        await _add_talk_rows(rows, Path(home) / "talk", arguments.runs)
        rows.print()
        await measure_silence(Path(home), arguments.faults)


async def _add_reload_rows(rows: Rows, home: Path, size: int, runs: int) -> None:
    directory = generate(home / "characters", size)
    async with nodes(home, directory) as made:
        lone = await made.add_lone()
        for name in _NAMES:
            await made.add(name)
        await asyncio.sleep(2.2)  # from now on the stats of the files are trusted
        for run in range(runs + 1):  # the first is a warm-up
            for scope in ("all", "changed"):
                _edit(directory)
                own = await _reloaded([lone], lone, scope)
                fleet = await _reloaded(made.all, made.all[run % 3], scope)
                if run:
                    name, goal = f"reload of {size}, {scope}: to the last of 3, ms", Goal(2, "own", plus=150)
                    rows.add(name, goal, "own", max(own))
                    rows.add(name, goal, "charhost", max(fleet))
                    rows.add(f"skew of {size}, {scope}, ms", Goal(50), "charhost", max(fleet) - min(fleet))
        await made.named["n1"].stop()
        await made.named["n1"].start("--watch")
        await asyncio.sleep(2.2)
        for run in range(runs + 1):
            saved = await _saved(made, directory)
            if run:
                rows.add(f"a saved file of {size}, live on all, ms", Goal(150), "charhost", saved)


async def _reloaded(served: Sequence[Node], asked: Node, scope: str) -> list[float]:
    """Return the milliseconds from a request to the swap of each node."""
    await asyncio.sleep(_PAUSE)
    async with AsyncExitStack() as stack:
        closing = await _clients(stack, served)
        started = time.perf_counter()
        status, report = await asked.reload(scope=scope)
        if status != 200 or report["outcome"] != "applied":
            raise RuntimeError(f"the reload was not applied: {report}")
        return [(closed - started) * 1000 for closed in await asyncio.gather(*closing)]


async def _saved(made: Nodes, directory: Path) -> float:
    """Return the milliseconds from saving a file to the last swap."""
    await asyncio.sleep(_PAUSE)
    async with AsyncExitStack() as stack:
        closing = await _clients(stack, made.all)
        started = _edit(directory)
        return (max(await asyncio.gather(*closing)) - started) * 1000


async def _clients(stack: AsyncExitStack, served: Sequence[Node]) -> list[asyncio.Task[float]]:
    """Connect a client to each node; return the tasks that wait for their close frames."""
    sockets = [await stack.enter_async_context(node.connect()) for node in served]
    for socket in sockets:
        await socket.receive()
    return [asyncio.create_task(_closed(socket)) for socket in sockets]


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> float:
    async for _ in socket:
        pass
    return time.perf_counter()


def _edit(directory: Path) -> float:
    """Save one character, and return when."""
    temporary = directory / ".saving"
    temporary.write_text(character_source(0, f"Edit {next(_edits)}."))
    started = time.perf_counter()
    os.replace(temporary, directory / "c00000.py")
    return started


async def _add_talk_rows(rows: Rows, home: Path, runs: int) -> None:
    model = free_port()
    environment = {"CHARHOST_LLM_URL": f"http://127.0.0.1:{model}/v1", "CHARHOST_LLM_MODEL": "m"}
    async with (
        python("-m", "scripts.benchmarks.streaming", str(model), "20", "0", port=model),
        nodes(home, generate(home / "characters", 1), None, **environment) as made,
    ):
        lone = await made.add_lone()
        for name in _NAMES:
            await made.add(name)
        for _ in range(runs):
            async with lone.connect() as alone, made.named["n3"].connect() as shared:
                session = (await until(shared, "session.created"))["session"]["id"]
                added = [await turn(shared) - await turn(alone) for _ in range(_TURNS)]
                rows.add("a turn: added by the fenced write, ms", Goal(5), "charhost", statistics.median(added))
                await made.named["n3"].stop(signal.SIGKILL)
            rows.add(f"resumed elsewhere, {_TURNS} turns, ms", Goal(500), "charhost", await _resumed(made, session))
            await made.named["n3"].start()


async def _resumed(made: Nodes, session: str) -> float:
    """Return the milliseconds from a client's connect to the session that it goes on with."""
    started = time.perf_counter()
    async with made.named["n1"].connect(resume=session) as socket:
        created = await until(socket, "session.created")
        if created["session"]["id"] != session:
            raise RuntimeError(f"another session was resumed: {created}")
        return (time.perf_counter() - started) * 1000
