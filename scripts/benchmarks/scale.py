"""How every figure grows with the number of characters, sessions and conversations, and whether any grows faster.

Reloads and closed sessions are measured in processor time of the server. Of each row the growth between the two largest
numbers is printed: N^1 is linear.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from scripts.benchmarks.measure import machine, print_table
from scripts.benchmarks.row import Goal, Rows
from scripts.benchmarks.rows.bench import Bench
from scripts.benchmarks.rows.growth import Growths
from scripts.benchmarks.rows.relay import Relays, add_relay_rows
from scripts.benchmarks.rows.reload import add_rows_of
from scripts.benchmarks.rows.sessions import add_session_rows
from scripts.performance_table import growth_of

_COUNTS = {
    "characters": "10,100,1000,5000,20000",
    "sessions": "1,10,100,1000,10000",
    "conversations": "1,10,100,1000",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(runs=1)
    for name, counts in _COUNTS.items():
        parser.add_argument(f"--{name}", default=counts, help=f"numbers of {name} (default: {counts})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")


async def measure(arguments: argparse.Namespace) -> None:
    growths = {name: Growths() for name in _COUNTS}
    for _ in range(arguments.runs):
        for name, found in growths.items():
            for count in map(int, getattr(arguments, name).split(",")):
                found.add(await _rows_of(name, count), count)
    by_name = {name: [growth.as_json for growth in found.values()] for name, found in growths.items()}
    for name, rows in by_name.items():
        print(f"N {name}:")
        print_table(*growth_of(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine()} | by_name, indent=1) + "\n")


async def _rows_of(name: str, count: int) -> Rows:
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(rows := Rows(), Path(scratch), {"charhost": "charhost"}, by_processor=True)
        if name == "characters":
            await add_rows_of(bench, count)
            _add_memory(rows, count)
        elif name == "sessions":
            await add_session_rows(bench, count)
        else:
            await add_relay_rows(rows, (count,), Relays())
    return rows


def _add_memory(rows: Rows, count: int) -> None:
    """Replace the memory after loading, of which most is that of the server, by that of each character."""
    (after,) = rows.pop(f"memory after loading {count}, MiB").figures["charhost"]
    (idle,) = rows["memory idle, MiB"].figures["charhost"]
    rows.add(f"memory of each of {count} characters, kB", Goal(25), "charhost", (after - idle) * 1048.576 / count)
