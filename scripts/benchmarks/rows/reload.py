"""The rows of reloads: charhost beside the naive server, the floor and, if it is given, the reference."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

from scripts.benchmarks.measure import character_source
from scripts.benchmarks.row import Goal
from scripts.benchmarks.rows.bench import Bench
from scripts.benchmarks.servers import PAUSE, Server

_SETTLED = 2.2  # seconds after which the stats of files are trusted
_numbers = count()


async def add_reload_rows(bench: Bench, few: int, many: int, most: int) -> None:
    """Measure sets of *few* and *many* characters in all servers, and one of *most* in each charhost."""
    await _add_set(bench, few, Goal(1, "naive"), Goal(0.5, "naive"))
    await add_rows_of(bench, many)
    for kind in bench.charhosts:
        directory = bench.generate(most)
        async with bench.serving(kind) as server:
            await server.reload(directory)
            bench.add_gap(f"loop gap, first load of {most}, ms", Goal(15), kind, await server.probed())
            await _add_changed_row(bench, kind, server, directory, most)


async def add_rows_of(bench: Bench, size: int) -> None:
    """Measure a set of *size* characters in all servers."""
    await _add_set(bench, size, Goal(1.4, "floor"), Goal(3.5, "floor"))
    for kind in bench.kinds:
        await _add_footprint(bench, kind, size)


async def _add_set(bench: Bench, size: int, first: Goal, again: Goal) -> None:
    directory, other = bench.generate(size), bench.generate(1)
    floor, rows = bench.floor(directory), bench.rows
    rows.add(f"first load of {size}, ms", first, "floor", floor.first())
    rows.add(f"again {size}, ms", again, "floor", floor.again())
    rows.add(f"back to {size}, ms", again, "floor", floor.again())
    for kind in bench.kinds:
        async with bench.serving(kind) as server:
            rows.add(f"first load of {size}, ms", first, kind, await server.reload(directory))
            rows.add(f"again {size}, ms", again, kind, await server.reload(directory))
            await server.reload(other)
            rows.add(f"back to {size}, ms", again, kind, await server.reload(directory))


async def _add_footprint(bench: Bench, kind: str, size: int) -> None:
    directory = bench.generate(size)
    async with bench.serving(kind) as server:
        bench.rows.add("memory idle, MiB", Goal(45), kind, (await server.probed())["memory"])
        await server.reload(directory)
        loaded = await server.probed()
        bench.rows.add(f"memory after loading {size}, MiB", Goal(70), kind, loaded["memory"])
        bench.add_gap(f"loop gap, first load of {size}, ms", Goal(10), kind, loaded)
        await server.reload(directory)
        await asyncio.sleep(PAUSE)
        bench.add_gap(f"loop gap, again {size}, ms", Goal(15), kind, await server.probed())
        if kind in bench.charhosts:
            await _add_changed_row(bench, kind, server, directory, size)


async def _add_changed_row(bench: Bench, kind: str, server: Server, directory: Path, size: int) -> None:
    name, goal = f"changed, one of {size}, ms", Goal(2, "scan")
    await asyncio.sleep(_SETTLED)
    await server.reload(directory)
    (directory / "c00000.py").write_text(character_source(0, f"Edit {next(_numbers)}."))
    bench.rows.add(name, goal, kind, await server.reload(directory, scope="changed"))
    bench.rows.add(name, goal, "scan", bench.floor(directory).scan())
